"""`outrig local up examples/bookinfo`: the whole of Bookinfo, as somebody who has read the README sees it."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.guide import BIN, ROOT
from tests.e2e.shell import Shell, blocks, brought_up

pytestmark = pytest.mark.slow

LOADS = 40  # so many that each of three versions is seen
PAGE = "http://productpage.bookinfo:9080/productpage"
HOPS = (
    ("productpage", "GET /productpage", "client"),
    ("details", "GET /details/0", "productpage"),
    ("reviews-v1", "GET /reviews/0", "productpage"),
    ("ratings", "GET /ratings/0", "reviews"),
)


def test_the_whole_of_bookinfo_comes_up_with_stars_on_the_page_and_every_hop_known(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "state")
    with brought_up(shell, ROOT / "examples" / "bookinfo") as printed:
        prepared, commands, _ = blocks(printed)

        wars, page, why = (shell.run(prepared + command) for command in commands)
        assert wars.stdout.count(" True ") == 7, wars.stdout
        assert "The Comedy of Errors" in page.stdout, page.stderr
        assert "unavailable" not in page.stdout
        assert why.returncode == 0, why.stdout + why.stderr
        assert "productpage.bookinfo" in why.stdout

        reading = f"import urllib.request as u; [print(u.urlopen({PAGE!r}).read().decode()) for _ in range({LOADS})]"
        pages = shell.run(f'{prepared}outrig local exec client -- {BIN}/python -c "{reading}"').stdout
        seen = Counter(re.findall(r"<p>reviews (v\d)</p>", pages))
        stars = Counter(re.findall(r"<p class=(\w+)>★★★★★</p>", pages))
        assert (set(seen), seen.total()) == ({"v1", "v2", "v3"}, LOADS)
        assert stars == {"black": seen["v2"], "red": seen["v3"]}

        for service, request, caller in HOPS:
            log = shell.run(f"{prepared}outrig local logs {service} --container {service}").stdout
            callers = set(re.findall(rf'"{request} HTTP/1.1" 200 - from (\S+)', log))
            assert callers == {f"spiffe://cluster.local/ns/bookinfo/sa/bookinfo-{caller}"}, (service, log)

        zones = shell.run(f"{prepared}kubectl get workloadentries -n bookinfo -o jsonpath='{{..spec.locality}}'").stdout
        assert set(zones.split()) == {"us-east-1/us-east-1a", "us-east-1/us-east-1b"}
