"""Resources in, a proxy's Envoy configuration and findings out, as files; and the real Envoy accepts each.

`pytest tests/golden --update-golden` writes the files anew. The difference is what gets reviewed.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from outrig.envoy.parts import ACCESS_LOG_FORMAT
from outrig.resources import Resource
from outrig.snapshot import ProxyId, Snapshot
from tests.golden.static_envoy import decoded, validate
from tests.mesh_making import BY_NAME, authority, document, world_of

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/resources.yaml"))
AUTHORITY = (HERE / "authority.pem").read_text()
TRUST = authority("default", "cluster.local", AUTHORITY)


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Path:
    """A folder with `resources.yaml` and `proxy.txt`."""
    return Path(request.param)


def test_a_proxy_gets_this(case: Path, request: pytest.FixtureRequest) -> None:
    resources, proxy = read(case)
    world = world_of(*resources, trusts=trusts_of(resources))
    snapshot = world.snapshot(proxy)
    assert snapshot is not None
    written = {
        case / "envoy.yaml": as_yaml(snapshot),
        case / "findings.txt": "".join(
            f"{line}\n" for line in [*own_findings(resources), *map(said, world.findings(proxy))]
        ),
    }
    if request.config.getoption("--update-golden"):
        for path, text in written.items():
            path.write_text(text)
    for path, text in written.items():
        assert path.read_text() == text


@pytest.mark.slow
def test_envoy_accepts_what_a_proxy_gets(case: Path, tmp_path: Path) -> None:
    resources, proxy = read(case)
    snapshot = world_of(*resources, trusts=trusts_of(resources)).snapshot(proxy)
    assert snapshot is not None
    assert validate(snapshot, tmp_path) == ""


def read(case: Path) -> tuple[list[Resource], ProxyId]:
    """The resources of a case, and the proxy that it is about."""
    documents = yaml.load_all((case / "resources.yaml").read_text(), yaml.CSafeLoader)
    return [document(one) for one in documents], ProxyId((case / "proxy.txt").read_text().strip())


def test_a_configuration_that_envoy_refuses_is_noticed(tmp_path: Path) -> None:
    """So that acceptance above means something."""
    resources = [document(one) for one in yaml.safe_load_all((HERE / "guide-ratings/resources.yaml").read_text())]
    snapshot = world_of(*resources, trusts=[TRUST]).snapshot(ProxyId("bookinfo/ratings-1"))
    assert snapshot is not None
    url = next(url for url in snapshot if url.endswith("RouteConfiguration"))
    tables = {name: encoded for name, encoded in snapshot[url].items() if name != "9080"}
    tables["9080"] = snapshot[url]["inbound|9080||"]
    clusters = next(url for url in snapshot if url.endswith("Cluster"))
    assert "unknown cluster" in validate({**snapshot, url: tables, clusters: {}}, tmp_path)


def trusts_of(resources: list[Resource]) -> list[Resource]:
    """What each mesh trusts; they do not differ in that here."""
    meshes = {resource.key.name for resource in resources if resource.key.kind == "Mesh"} - {"default"}
    return [TRUST, *(authority(mesh, mesh, AUTHORITY) for mesh in sorted(meshes))]


def as_yaml(snapshot: Snapshot) -> str:
    """The resources by type, in the order of their names. Two long texts that never differ are replaced by a word."""
    plain = {url.rsplit(".", 1)[-1]: [decoded(some[name]) for name in sorted(some)] for url, some in snapshot.items()}
    shorten(plain, {ACCESS_LOG_FORMAT: "<access log format>", AUTHORITY: "<authority>"})
    return yaml.dump(plain, Dumper=_Dumper, width=120)


def shorten(value: Any, words: dict[str, str]) -> None:
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(part, str):
            value[key] = words.get(part, part)
        shorten(part, words)


def own_findings(resources: list[Resource]) -> list[str]:
    return [said(finding) for resource in resources for finding in BY_NAME[resource.key.kind].findings(resource)]


def said(finding: object) -> str:
    return f"{getattr(finding, 'severity', '')} {finding}"
