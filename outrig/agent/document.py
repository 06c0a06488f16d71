"""Strict reading of a YAML or JSON document: every field is asked for by name, what nobody asked for is refused.

Errors (`InvalidConfiguration`) name the source (a variable or a file) and the field.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from outrig.agent.problems import InvalidConfiguration
from outrig.errors import did_you_mean
from outrig.kit.documents import document_in

MAX_DOCUMENT = 64 * 1024  # characters


class Fields:
    """The fields of one object of the document; `done()` refuses those that were not read."""

    def __init__(self, source: str, path: str, values: Mapping[str, Any]) -> None:
        self._source, self._path, self._values = source, path, values
        self._known: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """A string that is not empty; required if there is no default."""
        value = self._take(name, default)
        if not isinstance(value, str) or (value == "" and default is None):
            raise self.wrong(name, f"expected text, got {_shown(value)}", "put it in quotes" if value else "")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(name, f"expected a whole number from {least} to {most}, got {_shown(value)}")
        return value

    def flag(self, name: str) -> bool:
        """true or false; false if missing."""
        value = self._take(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, f"expected true or false, got {_shown(value)}")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """A map of text to text; empty if missing."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, f"expected a map, got {_shown(value)}")
        for key, item in value.items():
            if not isinstance(key, str) or not isinstance(item, str):
                raise self.wrong(f"{name}.{key}", f"expected text, got {_shown(item)}", "put it in quotes")
        return dict(value)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        self._known.add(name)
        return self._values.get(name) is not None

    def variant(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of a few words, written as the word or as an object with that one key; the first if missing."""
        value = self._take(name, allowed[0])
        word = next(iter(value)) if isinstance(value, Mapping) and len(value) == 1 else value
        if word not in allowed:
            raise self.wrong(name, f"expected one of {', '.join(allowed)}, got {_shown(value)}")
        return str(word)

    @contextmanager
    def within(self, name: str) -> "Iterator[Fields]":
        """The object of that name, empty if missing; unread fields of it are refused at the end."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, f"expected an object, got {_shown(value)}")
        inside = Fields(self._source, self._at(name), value)
        yield inside
        inside.done()

    def done(self) -> None:
        """Refuse fields that nobody asked for."""
        for name in self._values:
            if name not in self._known:
                raise self.wrong(str(name), "unknown field", did_you_mean(str(name), self._known))

    def wrong(self, name: str, problem: str, hint: str = "") -> InvalidConfiguration:
        """The error for a field of this object."""
        return InvalidConfiguration(f"{self._source} {self._at(name)}", problem, hint)

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}".lstrip(".")

    def _take(self, name: str, default: Any) -> Any:
        self._known.add(name)
        value = self._values.get(name)
        if value is None and default is None:
            raise self.wrong(name, "required field is missing", did_you_mean(name, set(self._values) - self._known))
        return default if value is None else value


@contextmanager
def reading(source: str, text: str, *, api_version: str, kind: str) -> Iterator[Fields]:
    """The fields of a document of that kind; fields left unread at the end are refused."""
    fields = Fields(source, "", parse(source, text))
    for name, expected in (("apiVersion", api_version), ("kind", kind)):
        if (found := fields.text(name)) != expected:
            raise fields.wrong(name, f"expected {expected!r}, got {found!r}")
    if fields.has("metadata"):
        with fields.within("metadata") as metadata:
            metadata.text("name", "")
            metadata.text("namespace", "")
    yield fields
    fields.done()


def parse(source: str, text: str) -> Mapping[str, Any]:
    """The one object that a text holds. Raises InvalidConfiguration."""
    if len(text) > MAX_DOCUMENT:
        raise InvalidConfiguration(source, f"longer than {MAX_DOCUMENT} characters")
    try:
        value = document_in(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidConfiguration(source, f"not YAML or JSON: {_one_line(error)}") from None
    if not isinstance(value, Mapping):
        raise InvalidConfiguration(source, f"expected a YAML or JSON object, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else f"{type(value).__name__} {str(value)[:40]!r}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
