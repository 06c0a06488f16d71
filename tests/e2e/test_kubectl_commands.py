"""What users do with kubectl, done with every kubectl that is here: the pinned ones must be."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import Query
from tests.e2e.kubectl import PINNED, Api, Kubectl, binaries, running_api

BINARIES = binaries()

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ratings, namespace: bookinfo, labels: {app: ratings}}
spec: {template: {serviceAccount: ratings}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}]}
"""
NAMESPACE = "\napiVersion: v1\nkind: Namespace\nmetadata: {name: bookinfo}\n"
EVERYTHING = "---".join((NAMESPACE, GROUP, SERVICE))
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: []}}}
"""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture(params=PINNED, ids=lambda version: f"kubectl-{version}")
def kubectl(api: Api, request: pytest.FixtureRequest) -> Kubectl:
    """The oldest and the newest that are pinned."""
    return api.kubectl(BINARIES[request.param])


@pytest.fixture(params=list(BINARIES), ids=lambda version: f"kubectl-{version}")
def any_kubectl(api: Api, request: pytest.FixtureRequest) -> Kubectl:
    """Those, and every other that this machine has, for what must work with all of them."""
    return api.kubectl(BINARIES[request.param])


@pytest.mark.parametrize("version", PINNED)
def test_the_pinned_kubectl_is_here(version: str) -> None:
    assert BINARIES[version].is_file(), f"{BINARIES[version]} is missing: make setup fetches it"


async def test_apply_creates_then_leaves_alone_then_configures(any_kubectl: Kubectl) -> None:
    created = await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    assert created.splitlines() == [
        "namespace/bookinfo created",
        "workloadgroup.networking.istio.io/ratings created",
        "service/ratings created",
    ]
    again = await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    assert [line.split()[1] for line in again.splitlines()] == ["unchanged"] * 3
    changed = EVERYTHING.replace("9080", "9090").replace(
        "{app: ratings}}\nspec: {template", "{app: x}}\nspec: {template"
    )
    said = await any_kubectl("apply", "-f", "-", stdin=changed)
    assert (said.code, said.err) == (0, "")
    assert [line.split()[1] for line in said.out.splitlines()] == ["unchanged", "configured", "configured"]
    ports = await any_kubectl.ok("get", "-n", "bookinfo", "svc", "ratings", "-o", "jsonpath={.spec.ports[*].port}")
    assert ports == "9090"


async def test_apply_says_which_namespace_is_missing(kubectl: Kubectl) -> None:
    assert 'namespaces "bookinfo" not found' in await kubectl.refused("apply", "-f", "-", stdin=GROUP)


async def test_get_prints_every_form(any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    group = ("get", "wg", "ratings", "-n", "bookinfo")
    assert (await any_kubectl.ok(*group)).split()[:2] == ["NAME", "AGE"]
    assert await any_kubectl.ok(*group, "-o", "name") == "workloadgroup.networking.istio.io/ratings\n"
    assert json.loads(await any_kubectl.ok(*group, "-o", "json"))["spec"] == {"template": {"serviceAccount": "ratings"}}
    assert "serviceAccount: ratings" in await any_kubectl.ok(*group, "-o", "yaml")
    assert await any_kubectl.ok(*group, "-o", "jsonpath={.metadata.labels.app}") == "ratings"
    assert "ratings" in await any_kubectl.ok(*group, "-o", "custom-columns=SA:.spec.template.serviceAccount")
    assert "SELECTOR" in await any_kubectl.ok("get", "svc", "-n", "bookinfo", "-o", "wide")
    assert "SELECTOR" not in await any_kubectl.ok("get", "svc", "-n", "bookinfo")
    listed = json.loads(await any_kubectl.ok("get", "wg", "-A", "-o", "json"))
    assert [item["metadata"]["name"] for item in listed["items"]] == ["ratings"]


async def test_get_finds_across_namespaces_and_by_selectors(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    everywhere = await kubectl.ok("get", "wg,svc", "-A")
    assert everywhere.splitlines()[0].split()[:2] == ["NAMESPACE", "NAME"]
    for selector, found in (
        ("app=ratings", True),
        ("app!=ratings", False),
        ("app in (a,ratings)", True),
        ("!app", False),
    ):
        assert ("ratings" in await kubectl.ok("get", "wg", "-A", "-l", selector)) is found
    for selector, found in (("metadata.name=ratings", True), ("metadata.name=x", False)):
        assert ("ratings" in await kubectl.ok("get", "wg", "-A", "--field-selector", selector)) is found
    assert "app=ratings" in await kubectl.ok("get", "wg", "-A", "--show-labels")
    assert await kubectl.ok("get", "wg", "-A", "--sort-by=.metadata.name")


async def test_create_is_refused_the_second_time(any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("create", "namespace", "bookinfo")
    await any_kubectl.ok("create", "-f", "-", stdin=SERVICE)
    assert 'services "ratings" already exists' in await any_kubectl.refused("create", "-f", "-", stdin=SERVICE)


async def test_objects_are_made_from_the_command_line(any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("create", "namespace", "bookinfo")
    await any_kubectl.ok("create", "serviceaccount", "ratings", "-n", "bookinfo")
    await any_kubectl.ok("create", "service", "clusterip", "ratings", "-n", "bookinfo", "--tcp=80:http")
    spec = json.loads(await any_kubectl.ok("get", "svc", "ratings", "-n", "bookinfo", "-o", "json"))["spec"]
    assert (spec["ports"][0]["port"], spec["ports"][0]["targetPort"]) == (80, "http")
    assert spec["selector"] == {"app": "ratings"}
    assert "ratings" in await any_kubectl.ok("get", "sa", "-n", "bookinfo")


async def test_label_annotate_patch_and_replace_change_what_they_name(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    await kubectl.ok("label", "-n", "bookinfo", "wg", "ratings", "x=y")
    await kubectl.ok("annotate", "-n", "bookinfo", "svc", "ratings", "a=b")
    await kubectl.ok("patch", "-n", "bookinfo", "svc", "ratings", "-p", '{"spec":{"ports":[{"port":81,"name":"b"}]}}')
    await kubectl.ok(
        "patch", "-n", "bookinfo", "wg", "ratings", "--type=merge", "-p", '{"spec":{"template":{"weight":2}}}'
    )
    operation = '[{"op":"add","path":"/spec/template/network","value":"n"}]'
    await kubectl.ok("patch", "-n", "bookinfo", "wg", "ratings", "--type=json", "-p", operation)
    group = json.loads(await kubectl.ok("get", "-n", "bookinfo", "wg", "ratings", "-o", "json"))
    assert group["metadata"]["labels"] == {"app": "ratings", "x": "y"}
    assert group["spec"]["template"] == {"serviceAccount": "ratings", "weight": 2, "network": "n"}
    service = json.loads(await kubectl.ok("get", "-n", "bookinfo", "svc", "ratings", "-o", "json"))
    assert sorted(port["port"] for port in service["spec"]["ports"]) == [81, 9080]
    await kubectl.ok("replace", "-f", "-", stdin=GROUP)
    assert await kubectl.ok("get", "-n", "bookinfo", "wg", "ratings", "-o", "jsonpath={.spec.template.weight}") == ""


async def test_delete_takes_along_what_the_object_owns(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    key = Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings")
    owner = await api.store.get(key)
    assert owner is not None
    entry = replace(key, kind="WorkloadEntry", name="one")
    async with api.store.transaction() as tx:
        owners = (Owner(key, owner.uid, "networking.istio.io/v1"),)
        await tx.create(Resource(entry, body={"spec": {"address": "10.0.0.1"}}, owners=owners))
    assert "one" in await any_kubectl.ok("get", "we", "-n", "bookinfo")
    assert "deleted" in await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo")
    assert await api.store.get(entry) is None
    assert "not found" in await any_kubectl.refused("get", "wg", "ratings", "-n", "bookinfo")


async def test_delete_by_label_by_file_and_all(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    await kubectl.ok("delete", "wg", "-n", "bookinfo", "-l", "app=ratings")
    await kubectl.ok("delete", "svc", "-n", "bookinfo", "--all")
    await kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    await kubectl.ok("delete", "-f", "-", stdin="---".join((GROUP, SERVICE, NAMESPACE)))
    assert "may not be deleted" in await kubectl.refused("delete", "ns", "default")


async def test_a_server_dry_run_and_a_diff_change_nothing(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("create", "-f", "-", stdin=NAMESPACE)
    before = await api.store.list(Query())
    assert "(server dry run)" in await any_kubectl.ok("apply", "-f", "-", "--dry-run=server", stdin=GROUP)
    assert await api.store.list(Query()) == before
    await any_kubectl.ok("apply", "-f", "-", stdin=GROUP)
    before = await api.store.list(Query())
    changed = GROUP.replace("serviceAccount: ratings", "serviceAccount: other")
    assert "configured (server dry run)" in await any_kubectl.ok("apply", "-f", "-", "--dry-run=server", stdin=changed)
    said = await any_kubectl("diff", "-f", "-", stdin=changed)
    assert (said.code, "+    serviceAccount: other" in said.out) == (1, True), said
    assert "deleted" in await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo", "--dry-run=server")
    assert await api.store.list(Query()) == before


async def test_mistakes_are_all_told_with_their_place(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("create", "-f", "-", stdin=NAMESPACE)
    before = await api.store.list(Query())
    unknown = GROUP.replace("serviceAccount", "serviceAcount").replace("labels", "lables")
    told = await any_kubectl.refused("apply", "-f", "-", stdin=unknown)
    assert 'unknown field "metadata.lables"' in told
    assert "did you mean 'serviceAccount'?" in told
    wrong = SERVICE.replace("9080", '"9080"').replace("{app: ratings}", "{app: 5}")
    told = await any_kubectl.refused("apply", "-f", "-", stdin=wrong)
    assert "spec.ports[0].port" in told
    assert "spec.selector" in told
    assert await api.store.list(Query()) == before


async def test_unknown_fields_can_be_let_through_with_a_warning(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=NAMESPACE)
    said = await kubectl("apply", "-f", "-", "--validate=warn", stdin=GROUP.replace("labels", "lables"))
    assert said.code == 0
    assert 'Warning: unknown field "metadata.lables"' in said.err


@pytest.mark.parametrize("verb", ["apply", "create"])
async def test_a_deployment_is_refused_with_one_helpful_sentence(any_kubectl: Kubectl, verb: str) -> None:
    told = await any_kubectl.refused(verb, "-f", "-", stdin=DEPLOYMENT)
    assert "Outrig runs no containers, so it has no Deployment: run it as an Amazon ECS service" in told
    assert len(told.splitlines()) == 1


async def test_foreign_kinds_do_not_show_among_what_is_served(kubectl: Kubectl) -> None:
    listed = await kubectl.ok("api-resources")
    assert "workloadgroups" in listed
    assert "deployments" not in listed
    assert "Outrig runs no containers" in await kubectl.refused("get", "pods")
    said = await kubectl("get", "all", "-A")
    assert (said.code, "Outrig runs no containers" in said.err) == (0, False)


async def test_a_body_of_ten_megabytes_is_refused_in_words(kubectl: Kubectl, tmp_path: Path) -> None:
    huge = json.loads(json.dumps({"apiVersion": "v1", "kind": "ServiceAccount"}))
    huge["metadata"] = {"name": "x", "annotations": {"a": "b" * 10_000_000}}
    (tmp_path / "huge.json").write_text(json.dumps(huge))
    assert "too large" in await kubectl.refused("create", "-f", str(tmp_path / "huge.json"))
    assert "default" in await kubectl.ok("get", "ns")


async def test_garbage_is_refused_before_and_by_the_server(kubectl: Kubectl) -> None:
    assert await kubectl.refused("apply", "-f", "-", stdin="a: [")
    assert await kubectl.refused("create", "--raw", "/api/v1/namespaces", "-f", "-", stdin="{garbage")
    assert await kubectl.refused("apply", "-f", "-", stdin="apiVersion: foo.io/v1\nkind: Foo\nmetadata: {name: x}")


async def test_explain_knows_the_fields(kubectl: Kubectl) -> None:
    assert "serviceAccount" in await kubectl.ok("explain", "workloadgroup.spec.template")
    assert "defaultEndpoint" in await kubectl.ok("explain", "sidecar.spec.ingress", "--recursive")
    assert "targetPort" in await kubectl.ok("explain", "service.spec.ports")


async def test_wait_sees_a_condition_and_a_deletion(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    waiting = await any_kubectl.start("wait", "--for=condition=Ready", "wg/ratings", "-n", "bookinfo", "--timeout=30s")
    async with api.store.transaction() as tx:
        found = await tx.get(Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings"))
        assert found is not None
        status = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": found.generation}]}
        await tx.update(replace(found, status=status))
    out, err = await waiting.communicate()
    assert b"condition met" in out, err
    waiting = await any_kubectl.start("wait", "--for=delete", "wg/ratings", "-n", "bookinfo", "--timeout=30s")
    await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo")
    _, err = await waiting.communicate()
    assert waiting.returncode == 0, err


async def test_a_watch_shows_changes_as_they_come(api: Api, any_kubectl: Kubectl) -> None:
    await any_kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    watching = await any_kubectl.start("get", "wg", "-n", "bookinfo", "-w", "--output-watch-events")
    assert watching.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert b"NAME" in await watching.stdout.readline()
            assert (await watching.stdout.readline()).split()[:2] == [b"ADDED", b"ratings"]
            await any_kubectl.ok("label", "wg", "ratings", "-n", "bookinfo", "x=y")
            assert (await watching.stdout.readline()).split()[:2] == [b"MODIFIED", b"ratings"]
            await any_kubectl.ok("delete", "wg", "ratings", "-n", "bookinfo")
            assert (await watching.stdout.readline()).split()[:2] == [b"DELETED", b"ratings"]
    finally:
        watching.kill()
        await watching.wait()


async def test_describe_shows_the_events_of_an_object(api: Api, kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=EVERYTHING)
    group = await api.store.get(Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings"))
    assert group is not None
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "name": "ratings",
        "namespace": "bookinfo",
    }
    body = {
        "involvedObject": {**about, "uid": group.uid},
        "reason": "OnboardingDenied",
        "message": "the role is not allowed",
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "outrig"},
    }
    async with api.store.transaction() as tx:
        await tx.create(Resource(Key("", "Event", "", "bookinfo", "ratings.1"), body=body))
    described = await kubectl.ok("describe", "wg", "ratings", "-n", "bookinfo")
    assert "OnboardingDenied" in described
    assert "the role is not allowed" in await kubectl.ok("get", "events", "-n", "bookinfo")
    assert "the role is not allowed" in await kubectl.ok("events", "-n", "bookinfo")


async def test_server_side_apply_says_how_to_do_without(kubectl: Kubectl) -> None:
    told = await kubectl.refused("apply", "--server-side", "-f", "-", stdin=NAMESPACE)
    assert "leave out --server-side" in told


@pytest.mark.parametrize("user", ["viewer", "viewer-token"])
async def test_a_viewer_reads_and_changes_nothing(api: Api, kubectl: Kubectl, user: str) -> None:
    assert "default" in await kubectl.ok("get", "ns", user=user)
    before = await api.store.list(Query())
    for command in (("create", "-f", "-"), ("delete", "ns", "default"), ("label", "ns", "default", "a=b")):
        told = await kubectl.refused(*command, stdin=NAMESPACE, user=user)
        assert "(Forbidden)" in told
        assert "cannot" in told
    assert await api.store.list(Query()) == before
    assert (await kubectl("auth", "can-i", "create", "wg", user=user)).out == "no\n"
    assert await kubectl.ok("auth", "can-i", "list", "wg", user=user) == "yes\n"


async def test_an_admin_may_by_certificate_and_by_token(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=NAMESPACE, user="admin-token")
    await kubectl.ok("delete", "-f", "-", stdin=NAMESPACE, user="admin")


async def test_a_stranger_and_a_wrong_token_get_nothing(kubectl: Kubectl) -> None:
    assert '(Forbidden): namespaces is forbidden: User "stranger"' in await kubectl.refused(
        "get", "ns", user="stranger"
    )
    assert "You must be logged in" in await kubectl.refused("get", "ns", user="wrong")
