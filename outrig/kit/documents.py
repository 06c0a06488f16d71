"""YAML documents that people write, JSON among them. Whatever a mapping says twice is refused, whichever would count.

In: a text. Out: plain values, with keys as text, as JSON has them. Refuses (`yaml.YAMLError`) what is no YAML, tags
that make other things than plain values, and (`Repeated`) a key that is there twice: YAML 1.2, 3.2.1.1.
"""

from collections.abc import Iterator
from typing import Any

import yaml

_TEXT = "tag:yaml.org,2002:str"
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "timestamp"))


class Repeated(yaml.YAMLError):
    """A mapping has a key twice."""


def documents_in(text: str) -> Iterator[Any]:
    """All documents of a text, an empty one as None. Raises YAMLError; RecursionError, ValueError for some values."""
    return yaml.load_all(text, _UniqueKeys)


def document_in(text: str) -> Any:
    """The one document of a text. Raises as `documents_in`."""
    return yaml.load(text, _UniqueKeys)  # noqa: S506 - a subclass of the safe loader


class _UniqueKeys(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written, before merges (`<<`) add to it."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise Repeated(f"the key {key.value!r} is there twice, line {key.start_mark.line + 1}")
            seen.add(key.value)
        node.value = [(_as_text(key), value) for key, value in node.value]
        return node


def _as_text(key: yaml.Node) -> yaml.Node:
    """A key of its own, for an alias stands for what may be a number elsewhere."""
    if key.tag not in _PLAIN:
        return key
    return yaml.ScalarNode(_TEXT, key.value, key.start_mark, key.end_mark)
