"""AuthorizationPolicy as people handle it with kubectl."""

from tests.e2e.kubectl.running import Kubectl, binaries

BINARIES = binaries()
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ratings, namespace: bookinfo}
spec:
  selector: {matchLabels: {app: ratings}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/bookinfo/sa/reviews]}}]
    to: [{operation: {methods: [GET], paths: ['/ratings/*']}}]
"""
WRONG = POLICY.replace("GET", "get").replace("cluster.local", "spiffe://cluster.local")
DOUBTFUL = POLICY.replace("  rules:", "  rules:\n  - when: [{key: connection.sni, values: [a.b]}]")


async def test_a_policy_is_applied_shown_explained_refused_with_all_problems_and_deleted(kubectl: Kubectl) -> None:
    namespace = "\napiVersion: v1\nkind: Namespace\nmetadata: {name: bookinfo}\n"
    created = await kubectl.ok("apply", "-f", "-", stdin=f"{namespace}---{POLICY}")
    assert "authorizationpolicy.security.istio.io/ratings created" in created
    table = (await kubectl.ok("get", "ap", "-n", "bookinfo")).splitlines()
    assert [line.split()[:2] for line in table] == [["NAME", "ACTION"], ["ratings", "ALLOW"]]
    explained = await kubectl.ok("explain", "authorizationpolicy.spec.rules.from.source.principals")
    assert "Identities without spiffe://" in explained
    refused = await kubectl.refused("apply", "-f", "-", stdin=WRONG)
    for problem in ("begins with spiffe://, which principals leave out", "'get' is in lower case, as no method is"):
        assert problem in refused
    unknown = await kubectl.refused("apply", "-f", "-", stdin=POLICY.replace("principals", "principal"))
    assert 'unknown field "spec.rules[0].from[0].source.principal"' in unknown
    warned = await kubectl("apply", "-f", "-", stdin=DOUBTFUL)
    assert (warned.code, "calls of the mesh name no server" in warned.err) == (0, True)
    assert "deleted" in await kubectl.ok("delete", "ap", "ratings", "-n", "bookinfo")
