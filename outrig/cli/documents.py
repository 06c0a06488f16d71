"""The documents that a user names: a file, a directory of them, a URL, or standard input.

In: names and template variables. Out: documents in order, each with its place. Refuses what cannot be read, and text
that is no YAML of objects; keys that are there twice; a template whose variables nobody gave. Kubernetes' form may have
braces of its own.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from outrig.agent.problems import InvalidConfiguration
from outrig.agent.template import fill, read_variable
from outrig.cli.asking import AGENT
from outrig.errors import OutrigError
from outrig.kit.documents import Repeated, documents_in

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_SECONDS: Final = 30.0
VARIABLE: Final = "-v"


class BadDocument(OutrigError):
    """A document cannot be read, or describes nothing that can be applied."""

    code = "OUT905"


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `place`: its file, and its number there if there are several."""

    place: str
    content: Mapping[str, Any]

    @property
    def type(self) -> str:
        """What Kuma's documents call their kind; empty for Kubernetes' form."""
        return str(self.content.get("type") or "") if "apiVersion" not in self.content else ""


def documents_of(name: str, variables: Mapping[str, str]) -> Iterator[Document]:
    """The documents that a name leads to, at least one; empty ones are passed over. Raises BadDocument."""
    found = [document for place, text in _texts(name) for document in _documents(place, text, variables)]
    if not found:
        raise BadDocument("standard input" if name == "-" else name, "holds no document", "there is nothing to apply")
    return iter(found)


def read_variables(texts: Iterable[str]) -> dict[str, str]:
    """The variables of templates, as `NAME=VALUE`. Raises BadDocument."""
    try:
        return dict(read_variable(text, flag=VARIABLE) for text in texts)
    except InvalidConfiguration as error:
        raise BadDocument(error.place, error.problem, error.hint) from None


def _documents(place: str, text: str, variables: Mapping[str, str]) -> Iterator[Document]:
    parts = _parsed(place, text, variables)
    for number, part in enumerate(parts, start=1):
        where = f"{place} document {number}" if len(parts) > 1 else place
        if part is None:
            continue
        if not isinstance(part, Mapping):
            raise BadDocument(where, "is no object", "it has type and name, or apiVersion, kind and metadata")
        _check_json(where, part)
        document = Document(where, part)
        if document.type and not variables:
            _filled(where, str(part), {})
        yield document


def _parsed(place: str, text: str, variables: Mapping[str, str]) -> list[Any]:
    try:
        return list(documents_in(_filled(place, text, variables) if variables else text))
    except Repeated as error:
        raise BadDocument(place, str(error), "leave one of the two out") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if not variables:
            _filled(place, text, {})  # `name: {{ name }}` is no YAML either
        raise BadDocument(place, f"is no YAML: {' '.join(str(error).split())}") from None


def _check_json(place: str, part: Mapping[Any, Any]) -> None:
    try:
        json.dumps(part, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadDocument(place, f"has a value that is none in JSON: {error}", "put it in quotes") from None


def _filled(place: str, text: str, variables: Mapping[str, str]) -> str:
    """A template filled in. Without variables: a text that is none. Raises BadDocument."""
    try:
        return fill(place, text, variables, flag=VARIABLE)
    except InvalidConfiguration as error:
        raise BadDocument(error.place, error.problem, error.hint) from None


def _texts(name: str) -> Iterator[tuple[str, str]]:
    if name == "-":
        yield "standard input", sys.stdin.read()
    elif name.startswith(("http://", "https://")):
        yield name, _fetched(name)
    elif Path(name).is_dir():
        files = sorted(file for file in Path(name).iterdir() if file.suffix in _SUFFIXES)
        if not files:
            raise BadDocument(name, f"holds no file ending in {', '.join(_SUFFIXES)}")
        yield from ((str(file), _read(file)) for file in files)
    else:
        yield name, _read(Path(name))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument(str(file), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _fetched(url: str) -> str:
    try:
        answer = httpx.get(url, headers={"user-agent": AGENT}, timeout=_SECONDS, follow_redirects=True)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BadDocument(url, f"cannot be read: {error}") from None
    return answer.text
