"""The steps that need the whole of Bookinfo. A docstring is a title."""

import re
from collections import Counter

from demo.stage import BIN, BOOKINFO, EXAMPLE, Stage
from demo.steps import account_for, expect, ids, names, ready_state, start_load, task_id, wait_connected

REST = ("details", "reviews-v1", "reviews-v2", "reviews-v3", "productpage", "client")
ALL = ("ratings", *REST)
LOADS = 30  # so many that each of three versions is seen
PAGE = "http://productpage.bookinfo:9080/productpage"


def the_rest_joins(stage: Stage) -> None:
    """The rest of Bookinfo joins, each service and version a group of its own, in two availability zones"""
    stage.show(
        stage.shell(f"kubectl apply -f {BOOKINFO}/mesh.yaml -f {BOOKINFO}/groups.yaml -f {BOOKINFO}/sidecar.yaml")
    )
    stage.shell(f"{BOOKINFO}/names")
    stage.shell(f"printf '%s\\n' {' '.join(REST)} | xargs -n 1 -P 2 {EXAMPLE}/deploy")
    for group in REST:
        wait_connected(stage, group)
    stage.show(stage.shell("kubectl get workloadentries -n bookinfo"))


def page(stage: Stage) -> str:
    """The page as the client sees it."""
    return stage.inside("client", "curl", "-f", PAGE)


def pages(stage: Stage) -> list[str]:
    """So many loads of it that each of three versions is among them; all whole."""
    read = f"import urllib.request as u; [print(u.urlopen({PAGE!r}).read().decode()) for _ in range({LOADS})]"
    found = stage.inside("client", str(BIN / "python"), "-c", read).split("</html>")[:LOADS]
    expect(len(found) == LOADS and not any("unavailable" in one for one in found), "\n".join(found))
    return found


def version(found: str) -> str:
    """Which reviews made the page."""
    return next(iter(re.findall(r"<p>reviews (v\d)</p>", found)), "none")


def stars_on_the_page(stage: Stage) -> None:
    """Stars on the page in two of three loads: reviews v1 has none, v2 black ones, v3 red ones"""

    def look() -> str | None:
        found = page(stage)
        return None if "unavailable" in found else found

    stage.until(look, "a whole page")
    seen: Counter[tuple[str, str]] = Counter()
    for found in pages(stage):
        seen[version(found), next(iter(re.findall(r"<p class=(\w+)>★", found)), "no")] += 1
    for (reviews, stars), count in sorted(seen.items()):
        stage.show(f"reviews {reviews}: {stars} stars, {count} of {LOADS} loads")
    expect(set(seen) == {("v1", "no"), ("v2", "black"), ("v3", "red")}, f"not the three: {seen}")


def every_hop_is_known(stage: Stage) -> None:
    """All hops are mutual TLS: each application logs the SPIFFE id of its caller"""
    for service, log, caller in (
        ("productpage", r"GET /productpage .*", "client"),
        ("details", r"GET /details/0 .*", "productpage"),
        ("reviews-v3", r"GET /reviews/0 .*", "productpage"),
        ("ratings", r"GET /ratings/0 .*sa/bookinfo-reviews", "reviews"),
    ):
        lines = re.findall(log, stage.agent_log(task_id(stage, service), service))
        expect(lines, f"{service} has logged no call")
        expect(lines[-1].endswith(f"from spiffe://cluster.local/ns/bookinfo/sa/bookinfo-{caller}"), lines[-1])
        stage.show(f"{service}: {lines[-1]}")


def ratings_scaled(stage: Stage) -> None:
    """ratings scaled from one task to three and back to one under load: no failed request"""
    load = start_load(stage, "client", PAGE, rate=20)
    for count in (3, 1):
        stage.shell(f"aws ecs update-service --cluster bookinfo --service ratings --desired-count {count}")
        wait_connected(stage, "ratings", count=count)
        stage.show(f"{count} of {count} ready: {', '.join(sorted(ids(stage, 'ratings')))}")
    account_for(stage, load, least=50)


def everything_deployed_anew(stage: Stage) -> None:
    """A rolling deploy of every service at once under load: no failed request"""
    before = {service: ids(stage, service) for service in ALL if service != "client"}
    load = start_load(stage, "client", PAGE, rate=10)
    again = "aws ecs update-service --cluster bookinfo --force-new-deployment --service"
    stage.shell(f"printf '%s\\n' {' '.join(before)} | xargs -n 1 -P 2 {again} > /dev/null")

    def replaced() -> bool | None:
        return all(len(now := ids(stage, service)) == 1 and now != old for service, old in before.items()) or None

    stage.until(replaced, "all tasks are new ones", seconds=90)
    for service in before:
        wait_connected(stage, service)
    stage.show(f"{len(before)} services, each with a new task: {', '.join(before)}")
    account_for(stage, load, least=50)


def a_sick_task(stage: Stage) -> None:
    """A broken probe takes one task out, and it comes back when it is well"""
    entry = next(name for name in names(stage.registrations("reviews-v2")))

    def readiness(wanted: str) -> bool | None:
        return ready_state(stage, "bookinfo", entry) == [wanted] or None

    stage.inside("reviews-v2", "touch", "/tmp/sick")  # noqa: S108 - the task's own
    stage.until(lambda: readiness("False"), "reviews v2 is not ready any more")
    reason = "jsonpath='{.status.conditions[?(@.type==\"Ready\")].message}'"
    stage.show(stage.shell(f"kubectl get workloadentry -n bookinfo {entry} -o {reason}"))
    seen = {version(found) for found in pages(stage)}
    expect(seen <= {"v1", "v3"}, f"pages were made by reviews {sorted(seen)}")
    stage.show(f"{LOADS} pages, by reviews {' and '.join(sorted(seen))}")
    stage.inside("reviews-v2", "rm", "/tmp/sick")  # noqa: S108 - the task's own
    stage.until(lambda: readiness("True"), "reviews v2 is ready again")
    stage.until(lambda: version(page(stage)) == "v2" or None, "a page by reviews v2")
    stage.show("well again: a page by reviews v2")


def a_misrouted_call(stage: Stage) -> None:
    """`outrig why` says where a call goes, and what would stop it"""
    good = stage.shell(f"outrig why client {PAGE} -n bookinfo")
    stage.show(good)
    bad = stage.shell("outrig why client http://ratings.books:9080/ratings/0 -n bookinfo", ok=False)
    stage.show(bad)
    expect("502" in bad and "502" not in good, "it does not tell the good call from the bad one")
    real = stage.inside("client", "curl", "-i", "-H", "Host: ratings.books:9080", "127.0.0.2:9080/ratings/0")
    expect(" 502 " in real.splitlines()[0], real)
    stage.show(f"the call itself: {real.splitlines()[0]}")
