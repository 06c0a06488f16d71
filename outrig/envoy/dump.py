"""Encoded resources as people read them: Envoy's JSON. Bytes in, plain JSON values out; for one proxy at a time."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from outrig.envoy.api import Resource
from outrig.snapshot import Encoded, Snapshot


def as_json(snapshot: Snapshot, *, proto_names: bool = False) -> dict[str, dict[str, Any]]:
    """What a proxy should have, by type and name. `proto_names`: fields are spelt as in Envoy's own dumps."""
    return {
        type_url: {name: _content(encoded, proto_names=proto_names) for name, encoded in sorted(named.items())}
        for type_url, named in snapshot.items()
    }


def _content(encoded: Encoded, *, proto_names: bool) -> dict[str, Any]:
    whole: dict[str, Any] = MessageToDict(Resource.FromString(encoded.body), preserving_proto_field_name=proto_names)
    return {field: value for field, value in whole["resource"].items() if field != "@type"}
