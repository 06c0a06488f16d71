"""What all schemas are made of: strict forms, and fields that say in a sentence what is wrong with a value.

In: plain JSON values. Out: frozen forms, or pydantic's ValidationError with every problem and its path. Nothing is
converted: "9080" is not 9080, and 012345678901 is not an account id.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from outrig.dialects import syntax
from outrig.resources import Resource

F = TypeVar("F", bound="Form")

ATOMIC: Final[JsonDict] = {"x-kubernetes-map-type": "atomic"}
"""Marks an object that is owned whole when it is applied from the server's side; unmarked ones are by field."""

SET: Final[JsonDict] = {"x-kubernetes-list-type": "set"}
"""Marks a list of plain values each of which has its own owners; unmarked lists are owned whole."""


def keyed_by(*keys: str) -> JsonDict:
    """Marks a list whose items have their own owners, told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _simplify(schema: dict[str, Any]) -> None:
    """Null means absent in every field, so the published schema need not say so; nor does it repeat empty defaults."""
    for field in schema.get("properties", {}).values():
        choices = [choice for choice in field.pop("anyOf", ()) if choice != {"type": "null"}]
        field.update(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})
        if not isinstance(field.get("default"), str | int):
            field.pop("default", None)
        field.pop("title", None)


class Form(BaseModel):
    """A JSON object with exactly these fields, spelt in camelCase; a field left out and null mean the same."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, json_schema_extra=_simplify
    )


def parse(form: type[F], resource: Resource) -> F:
    """The body of a resource as its form. Raises ValidationError if the body does not fit the schema."""
    return form.model_validate(dict(resource.body))


def checked(is_valid: Callable[[str], bool], rule: str) -> AfterValidator:
    """A validator that refuses what `is_valid` denies; the message is `must be <rule>`."""

    def check(value: str) -> str:
        if not is_valid(value):
            raise PydanticCustomError("spelling", "must be {rule}", {"rule": rule})
        return value

    return AfterValidator(check)


def _quoted(value: object) -> object:
    if isinstance(value, bool | int | float):
        spelt = str(value).lower() if isinstance(value, bool) else str(value)
        raise PydanticCustomError("unquoted", 'must be text: quote it ("{spelt}")', {"spelt": spelt[:40]})
    return value


def empty_or(is_valid: Callable[[str], bool], rule: str) -> AfterValidator:
    """Like `checked`, but the empty text passes."""
    return checked(lambda text: text == "" or is_valid(text), rule)


QUOTED: Final = BeforeValidator(_quoted)  # for texts that look like numbers or booleans in YAML

Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""What Go's clients have in 32 bits: more, and they cannot read the object, nor any list that it is in."""
Generation = Annotated[int, Field(ge=0, le=2**63 - 1)]
_MOMENT: Final[JsonDict] = {"format": "date-time"}
Time = Annotated[
    str,
    checked(syntax.is_time, "a time with its zone, such as 2026-01-31T09:00:00Z (RFC 3339)"),
    Field(json_schema_extra=_MOMENT),
]
MicroTime = Annotated[
    str,
    checked(syntax.is_micro_time, "a time in microseconds with its zone, such as 2026-01-31T09:00:00.000000Z"),
    Field(json_schema_extra=_MOMENT),
]
LabelKey = Annotated[str, checked(syntax.is_label_key, "a label key: [prefix/]name of letters, digits, '-', '_', '.'")]
LabelValue = Annotated[
    str, QUOTED, checked(syntax.is_label_value, "a label value: at most 63 letters, digits, '-', '_', '.'")
]
Labels = dict[LabelKey, LabelValue]
Annotations = dict[LabelKey, Annotated[str, QUOTED]]
DnsLabel = Annotated[str, checked(syntax.is_dns_label, "a DNS label: at most 63 of a-z, 0-9, '-'")]
DnsLabelOrEmpty = Annotated[str, empty_or(syntax.is_dns_label, "a DNS label: at most 63 of a-z, 0-9, '-'")]
IpOrEmpty = Annotated[str, empty_or(syntax.is_ip, "an IPv4 or IPv6 address")]


def _port_or_name(value: object) -> object:
    if isinstance(value, str) and not syntax.is_port_name(value):
        hint = f"write the number without quotes: {value}" if syntax.port_of(value) else "a-z, 0-9, '-', at most 15"
        raise PydanticCustomError("port_name", "is no port name ({hint})", {"hint": hint})
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) or (is_number and 1 <= value <= 65535):  # type: ignore[operator]
        return value
    raise PydanticCustomError("port", "must be a port number from 1 to 65535 or the name of a port")


def _generation_or_text(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    text = value if isinstance(value, str) else str(value) if is_number else ""
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= 2**63:
        raise PydanticCustomError("generation", "must be a generation: a whole number, or the same as text")
    return value


PortOrName = Annotated[int | str, BeforeValidator(_port_or_name)]
GenerationOrText = Annotated[int | str, BeforeValidator(_generation_or_text)]
"""Istio's clients spell numbers of 64 bits as text, as JSON of protocol buffers does, and its schemas take both."""
