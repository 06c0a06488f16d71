"""Encoded resources as people read them: Envoy's JSON. Bytes in, plain JSON values out; for one proxy at a time."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from outrig.envoy.api import Resource
from outrig.snapshot import Encoded, Snapshot


def as_json(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """What a proxy should have, by type and name."""
    return {
        type_url: {name: _content(encoded) for name, encoded in sorted(named.items())}
        for type_url, named in snapshot.items()
    }


def _content(encoded: Encoded) -> dict[str, Any]:
    whole: dict[str, Any] = MessageToDict(Resource.FromString(encoded.body))
    return {field: value for field, value in whole["resource"].items() if field != "@type"}
