"""How the values at each place of an object are owned: whole, member by member, or item by item.

In: a JSON schema with Kubernetes' marks (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`). Out: `Shape`. As in
a CustomResourceDefinition, objects are owned by member and lists whole where nothing is marked.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

Schema = Mapping[str, Any]


class Form(Enum):
    """What is owned at a place."""

    WHOLE = auto()
    MEMBERS = auto()
    VALUES = auto()
    KEYED = auto()
    ANY = auto()
    """Told by the value: objects by member, everything else whole."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`fields`: members known by name; `items`: all other members, or the items of a list.

    `keys`: what tells the items of a list apart, each with the value that it has where it is left out (None: none).
    """

    form: Form
    fields: Mapping[str, "Shape"] = field(default_factory=lambda: MappingProxyType({}))
    items: "Shape | None" = None
    keys: tuple[tuple[str, Any], ...] = ()

    def member(self, name: str) -> "Shape":
        """The shape of a member of an object."""
        return self.fields.get(name) or self.items or ANY

    @property
    def item(self) -> "Shape":
        """The shape of the items of a list."""
        return self.items or ANY

    def of(self, value: Any) -> Form:
        """How this very value is owned: what does not have the form that is expected is owned whole."""
        if isinstance(value, dict):
            return Form.MEMBERS if self.form in (Form.MEMBERS, Form.ANY) else Form.WHOLE
        if isinstance(value, list):
            return self.form if self.form in (Form.VALUES, Form.KEYED) else Form.WHOLE
        return self.form if value is None and self.form is not Form.ANY else Form.WHOLE


WHOLE: Final = Shape(Form.WHOLE)
ANY: Final = Shape(Form.ANY)


def shape_of(schema: Schema, definitions: Schema) -> Shape:
    """The shape of what a schema describes. `definitions`: the schemas that `$ref` names, by the last part of it."""
    schema = _resolved(schema, definitions)
    if schema.get("x-kubernetes-map-type") == "atomic":
        return WHOLE
    if "properties" in schema or isinstance(schema.get("additionalProperties"), Mapping):
        return _object_shape(schema, definitions)
    if schema.get("type") == "object":
        return ANY
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return Shape(Form.VALUES, items=WHOLE)
    return _keyed_shape(schema, definitions) if kind == "map" else WHOLE


def _object_shape(schema: Schema, definitions: Schema) -> Shape:
    fields = {name: shape_of(part, definitions) for name, part in schema.get("properties", {}).items()}
    others = schema.get("additionalProperties")
    return Shape(Form.MEMBERS, fields, shape_of(others, definitions) if isinstance(others, Mapping) else None)


def _keyed_shape(schema: Schema, definitions: Schema) -> Shape:
    item = _resolved(schema["items"], definitions)
    properties = item.get("properties", {})
    keys = tuple((key, properties.get(key, {}).get("default")) for key in schema["x-kubernetes-list-map-keys"])
    return Shape(Form.KEYED, items=shape_of(item, definitions), keys=keys)


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """The schema without the detours of `$ref`, `allOf` and the choice of null, with all marks on the way."""
    choices = [part for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())) if part != {"type": "null"}]
    inner = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else None
    if inner is None and len(choices) == 1:
        inner = choices[0]
    if inner is None:
        return schema
    marks = {word: value for word, value in schema.items() if word.startswith("x-kubernetes-")}
    return {**_resolved(inner, definitions), **marks}
