"""ServiceEntry as people handle it with kubectl."""

from tests.e2e.kubectl.running import Kubectl, binaries

BINARIES = binaries()
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: bookinfo}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
"""
WRONG = ENTRY.replace("resolution: DNS", "resolution: STATIC\n  endpoints: [{address: a.example.com, ports: {x: 1}}]")


async def test_an_entry_is_applied_shown_explained_refused_with_all_problems_and_deleted(kubectl: Kubectl) -> None:
    namespace = "\napiVersion: v1\nkind: Namespace\nmetadata: {name: bookinfo}\n"
    created = await kubectl.ok("apply", "-f", "-", stdin=f"{namespace}---{ENTRY}")
    assert "serviceentry.networking.istio.io/api created" in created
    table = (await kubectl.ok("get", "se", "-n", "bookinfo")).splitlines()
    assert table[0].split() == ["NAME", "HOSTS", "LOCATION", "RESOLUTION", "AGE"]
    assert table[1].split()[:4] == ["api", '["api.example.com"]', "MESH_EXTERNAL", "DNS"]
    assert "Namespaces that see it" in await kubectl.ok("explain", "serviceentry.spec.exportTo")
    refused = await kubectl.refused("apply", "-f", "-", stdin=WRONG)
    for problem in ("STATIC takes IP addresses and unix sockets", "endpoint port x is not defined"):
        assert problem in refused
    assert "deleted" in await kubectl.ok("delete", "se", "api", "-n", "bookinfo")
