"""Kinds that are not served under Kubernetes' paths: rights to them are known, and whoever asks for one is told why."""

from collections import defaultdict
from typing import Any

from outrig.api.access.builtin import BUILT_IN
from outrig.api.kube.catalog import Catalog
from outrig.api.kube.discovery import entries, entries_elsewhere
from outrig.api.kube.foreign import ELSEWHERE, FOREIGN, READ_ALONG, ForeignKind
from outrig.dialects import kuma
from outrig.server.kinds import KINDS
from tests.unit.access_making import Person, Scene, binding, role, rule

AGGREGATED = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
REVIEWS = "/apis/authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/shop/serviceaccounts"


def collection(kind: ForeignKind, version: str) -> str:
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    return f"{root}/namespaces/shop/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


async def named_in_aggregated(admin: Person) -> dict[tuple[str, str], list[str]]:
    """Group and plural -> verbs."""
    found = {}
    for prefix in ("/api", "/apis"):
        for group in (await admin.told("GET", prefix, 200, headers=AGGREGATED))["items"]:
            for version in group["versions"]:
                for one in version["resources"]:
                    found[group["metadata"].get("name", ""), one["resource"]] = one["verbs"]
    return found


async def named_in_plain(admin: Person) -> dict[tuple[str, str], list[str]]:
    groups = (await admin.told("GET", "/apis", 200))["groups"]
    paths = {f"/apis/{version['groupVersion']}": group["name"] for group in groups for version in group["versions"]}
    lists = {group: await admin.told("GET", path, 200) for path, group in ({"/api/v1": ""} | paths).items()}
    return {(group, one["name"]): one["verbs"] for group, found in lists.items() for one in found["resources"]}


async def test_discovery_names_every_resource_that_the_built_in_roles_are_about(admin: Person) -> None:
    rules = [one for made in BUILT_IN.values() for one in made.body.get("rules", ()) if "resources" in one]
    wanted = {(group, name) for one in rules for group in one["apiGroups"] for name in one["resources"]}
    wanted = {(group, name) for group, name in wanted - {("*", "*")} if "/" not in name}
    wanted |= {("access.outrig.dev", "certificates"), ("kuma.io", "secrets"), ("kuma.io", "global-secrets")}
    assert len(wanted) > len(kuma.KINDS) + len(kuma.REFUSED) + len(KINDS)
    aggregated, plain = await named_in_aggregated(admin), await named_in_plain(admin)
    assert wanted - aggregated.keys() == set()
    assert wanted - plain.keys() == set()
    assert {name: plain[name] for name in aggregated} == aggregated


async def test_what_is_served_elsewhere_has_no_verbs_so_nobody_lists_it(admin: Person) -> None:
    verbs = await named_in_aggregated(admin)
    assert [kind.plural for kind in ELSEWHERE if verbs[kind.group, kind.plural]] == []


def test_no_name_means_two_kinds_to_kubectl_but_secret_of_which_the_core_comes_first() -> None:
    meanings = defaultdict(set)
    for entry in (*entries(Catalog(tuple(KINDS))), *entries_elsewhere()):
        for name in (entry.singular, entry.plural, *entry.short_names):
            meanings[name].add(entry.group)
    doubtful = {name: groups for name, groups in meanings.items() if len(groups) > 1}
    assert doubtful == {"secret": {"", "kuma.io"}, "secrets": {"", "kuma.io"}}


async def test_rights_to_what_is_served_elsewhere_are_asked_and_given_as_others(api: Scene) -> None:
    assert await api.of("eve").may("list", "kuma.io/dataplanes")
    assert not await api.of("alice").may("create", "access.outrig.dev/certificates")
    written = role(rule(["create"], ["certificates"], ["access.outrig.dev"]), kind="ClusterRole")
    path = "/apis/rbac.authorization.k8s.io/v1"
    await api.of().makes(f"{path}/clusterroles", written)
    bound = binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole")
    await api.of().makes(f"{path}/clusterrolebindings", bound)
    assert await api.of("alice").may("create", "access.outrig.dev/certificates")


async def test_a_list_that_is_kept_elsewhere_is_refused_and_never_shown_empty(admin: Person) -> None:
    for kind in ELSEWHERE:
        path = collection(kind, kind.versions[0])
        for method, headers in (("GET", {}), ("GET", TABLE), ("POST", {}), ("DELETE", {})):
            assert (await admin.told(method, path, 405, headers=headers))["message"] == kind.sentence
        assert kind.sentence in (await admin.told("GET", f"{path}/a", 404))["message"]


async def test_who_asks_here_for_what_is_elsewhere_is_told_the_command(admin: Person) -> None:
    for path, command in (
        ("/apis/kuma.io/v1alpha1/dataplanes", "`outrig get dataplanes`"),
        ("/apis/access.outrig.dev/v1/certificates", "`outrig kubeconfig`"),
    ):
        assert command in (await admin.told("GET", path, 405))["message"]


async def test_a_kind_that_there_is_not_is_an_empty_list_and_cannot_be_made(admin: Person) -> None:
    for kind, version in ((one, version) for one in FOREIGN for version in one.versions):
        path = collection(kind, version)
        listed = await admin.get(path, headers=TABLE)
        assert (listed.status_code, listed.json()["rows"]) == (200, [])
        assert listed.headers.get_list("warning") == [f'299 - "{kind.sentence}"']
        plain = await admin.get(path)
        assert (plain.json()["items"], "warning" in plain.headers) == ([], kind.plural not in READ_ALONG)
        assert (await admin.told("POST", path, 405, json={}))["message"] == kind.sentence


async def test_who_wants_a_token_of_a_service_account_is_told_where_credentials_come_from(admin: Person) -> None:
    account: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart"}}
    await admin.makes(ACCOUNTS, account)
    told = await admin.told("POST", f"{ACCOUNTS}/cart/token", 405, json={"spec": {}})
    assert "`outrig kubeconfig` and `outrig token user`" in told["message"]
    assert (await admin.told("GET", f"{ACCOUNTS}/cart", 200))["metadata"]["name"] == "cart"
    await admin.told("GET", f"{ACCOUNTS}/cart/tokens", 404)


async def test_who_scales_a_group_is_told_what_scales_its_tasks(admin: Person) -> None:
    path = "/apis/networking.istio.io/v1/namespaces/default/workloadgroups/details/scale"
    for method, code in (("GET", 404), ("PATCH", 405), ("PUT", 405)):
        assert "desiredCount of its ECS service" in (await admin.told(method, path, code, json={}))["message"]


async def test_a_stranger_is_told_nothing_of_it(api: Scene) -> None:
    for path in ("/apis/kuma.io/v1alpha1/dataplanes", "/api/v1/pods"):
        assert "forbidden" in (await api.of("").told("GET", path, 403))["message"]


async def test_rules_about_paths_are_listed_once_and_a_head_is_a_get(api: Scene) -> None:
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "shop"}}
    told = await api.of("alice").makes(f"{REVIEWS}/selfsubjectrulesreviews", asked)
    rows = [(path, one["verbs"]) for one in told["status"]["nonResourceRules"] for path in one["nonResourceURLs"]]
    assert len(rows) == len({path for path, _ in rows}) > 0
    assert {tuple(verbs) for _, verbs in rows} == {("get",)}
    for verb, allowed in (("head", True), ("get", True), ("post", False)):
        spec = {"nonResourceAttributes": {"verb": verb, "path": "/version"}}
        found = await api.of("alice").makes(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": spec})
        assert found["status"]["allowed"] is allowed
