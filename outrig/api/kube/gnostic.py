"""OpenAPI v2 in protobuf, the form in which kubectl asks for it: the message `openapi.v2.Document`.

In: the document. Out: the bytes. Raises KeyError for a word that is not in the tables below, so nothing is left out.
The numbers: https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Form = Callable[[int, Any], bytes]
"""How a value is written as the field of a number."""
Fields = Mapping[str, tuple[int, Form]]


def encode(document: Mapping[str, Any]) -> bytes:
    """The document as a message."""
    return DOCUMENT.content(document)


@dataclass(frozen=True, slots=True)
class _Message:
    """The fields of a message, by their JSON names; and the number of the one for words that begin with `x-`."""

    fields: Fields
    extensions: int = 0

    def __call__(self, number: int, value: Mapping[str, Any]) -> bytes:
        return _sized(number, self.content(value))

    def content(self, value: Mapping[str, Any]) -> bytes:
        return b"".join(self._field(word, inner) for word, inner in value.items())

    def _field(self, word: str, value: Any) -> bytes:
        if self.extensions and word.startswith("x-"):
            return _sized(self.extensions, _pair(word, value, _any))
        number, form = self.fields[word]
        return form(number, value)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def _sized(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, value: str) -> bytes:
    return _sized(number, value.encode())


def _count(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _any(number: int, value: Any) -> bytes:
    """A value of any type is YAML in the message, and JSON is YAML."""
    return _sized(number, _text(2, json.dumps(value, ensure_ascii=False)))


def _pair(name: str, value: Any, form: Form) -> bytes:
    return _text(1, name) + form(2, value)


def _each(form: Form) -> Form:
    return lambda number, values: b"".join(form(number, value) for value in values)


def _named(form: Form, at: int = 1) -> Form:
    """A mapping: a message whose field `at` has a pair for every member."""
    return lambda number, values: _sized(
        number, b"".join(_sized(at, _pair(name, value, form)) for name, value in values.items())
    )


def _within(form: Form, *numbers: int) -> Form:
    """A value inside of messages that have one field each, of these numbers, from the outermost to the value's own."""
    first, *rest = numbers
    inner = _within(form, *rest) if rest else form
    return lambda number, value: _sized(number, inner(first, value))


def _schema(number: int, value: Mapping[str, Any]) -> bytes:
    return SCHEMA(number, value)


def _parameter(number: int, value: Mapping[str, Any]) -> bytes:
    return PARAMETERS[value["in"]](number, value)


TEXTS = _each(_text)
SCHEMA = _Message(
    {
        "$ref": (1, _text), "format": (2, _text), "title": (3, _text), "description": (4, _text), "default": (5, _any),
        "multipleOf": (6, _double), "maximum": (7, _double), "exclusiveMaximum": (8, _count), "minimum": (9, _double),
        "exclusiveMinimum": (10, _count), "maxLength": (11, _count), "minLength": (12, _count), "pattern": (13, _text),
        "maxItems": (14, _count), "minItems": (15, _count), "uniqueItems": (16, _count), "maxProperties": (17, _count),
        "minProperties": (18, _count), "required": (19, TEXTS), "enum": (20, _each(_any)),
        "additionalProperties": (21, _within(_schema, 1)), "type": (22, _within(_text, 1)),
        "items": (23, _within(_schema, 1)), "properties": (25, _named(_schema)), "example": (30, _any),
    },
    extensions=31,
)  # fmt: skip
BODY = _Message(
    {"description": (1, _text), "name": (2, _text), "in": (3, _text), "required": (4, _count), "schema": (5, _schema)}
)
IN_PATH: Fields = {
    "required": (1, _count), "in": (2, _text), "description": (3, _text), "name": (4, _text), "type": (5, _text),
}  # fmt: skip
IN_QUERY: Fields = {
    **IN_PATH, "type": (6, _text), "maximum": (11, _double), "minimum": (13, _double), "maxLength": (15, _count),
    "enum": (21, _each(_any)),
}  # fmt: skip
PARAMETERS = {
    "body": _within(BODY, 1, 1),
    "query": _within(_Message(IN_QUERY), 1, 2, 3),
    "path": _within(_Message(IN_PATH), 1, 2, 4),
}
RESPONSE = _Message({"description": (1, _text), "schema": (2, _within(_schema, 1))})
OPERATION = _Message(
    {
        "description": (3, _text), "operationId": (5, _text), "produces": (6, TEXTS), "consumes": (7, TEXTS),
        "parameters": (8, _each(_parameter)), "responses": (9, _named(_within(RESPONSE, 1))),
        "deprecated": (11, _count),
    },
    extensions=13,
)  # fmt: skip
PATH = _Message(
    {
        "get": (2, OPERATION), "put": (3, OPERATION), "post": (4, OPERATION), "delete": (5, OPERATION),
        "patch": (8, OPERATION), "parameters": (9, _each(_parameter)),
    }
)  # fmt: skip
INFO = _Message({"title": (1, _text), "version": (2, _text), "description": (3, _text)})
API_KEY = _Message({"type": (1, _text), "name": (2, _text), "in": (3, _text), "description": (4, _text)})
DOCUMENT = _Message(
    {
        "swagger": (1, _text), "info": (2, INFO), "paths": (8, _named(PATH, at=2)), "definitions": (9, _named(_schema)),
        "security": (12, _each(_named(_within(TEXTS, 1)))), "securityDefinitions": (13, _named(_within(API_KEY, 2))),
    }
)  # fmt: skip
