"""Version 2 of OpenAPI, from small documents: what is rewritten, and how it is put into protobuf."""

import struct
from typing import Any

import pytest

from outrig.api.kube.gnostic import encode
from outrig.api.kube.swagger import swagger

INFO = {"title": "T", "version": "v1"}


def older(**schemas: Any) -> dict[str, Any]:
    definitions: dict[str, Any] = swagger({"api/v1": {"info": INFO, "paths": {}, "components": {"schemas": schemas}}})[
        "definitions"
    ]
    return definitions


def test_a_reference_that_has_a_description_keeps_it() -> None:
    field = {"allOf": [{"$ref": "#/components/schemas/B"}], "description": "Which."}
    whole = {"type": "object", "properties": {"b": field}}
    assert older(A=whole)["A"]["properties"] == {"b": {"$ref": "#/definitions/B", "description": "Which."}}


def test_a_number_or_a_name_is_a_string_as_in_kubernetes() -> None:
    port = {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}
    assert older(Port=port) == {"Port": {"type": "string", "format": "int-or-string"}}


def test_a_field_may_be_called_like_a_word_of_the_schema() -> None:
    fields = {"anyOf": {"type": "string"}, "allOf": {"type": "array", "items": {"type": "string"}}}
    assert older(A={"type": "object", "properties": fields})["A"]["properties"] == fields


def test_messages_are_written_as_protobuf_says() -> None:
    assert encode({"swagger": "2.0", "info": INFO}) == b"\n\x032.0\x12\x07\n\x01T\x12\x02v1"
    long = {"definitions": {"A": {"description": "x" * 200}}}
    named = b"\n\x01A\x12\xcb\x01\x22\xc8\x01" + b"x" * 200
    assert encode(long) == b"\x4a\xd4\x01\n\xd1\x01" + named
    limits = {"minimum": 0.5, "maxLength": 300, "x-mark": ["é"]}
    content = (
        b"\x49"
        + struct.pack("<d", 0.5)
        + b"\x58\xac\x02"
        + b"\xfa\x01\x12\n\x06x-mark\x12\x08\x12\x06"
        + b'["\xc3\xa9"]'
    )
    assert encode({"definitions": {"A": limits}}).endswith(content)


def test_a_word_that_the_message_has_no_number_for_is_never_left_out() -> None:
    with pytest.raises(KeyError, match="nullable"):
        encode({"definitions": {"A": {"nullable": True}}})
