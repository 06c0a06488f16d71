"""Conditions about a call: tests of its caller and of itself, and how they are joined.

A caller is tested by the identities in its certificate and by its address; who calls in plaintext has no identity.
`Behind` and `Having` name identities that only the mesh knows; whoever decides puts `Identity` in their place.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outrig.model.labels import Labels


class Form(StrEnum):
    """How a text is compared: as a whole, by its beginning, its end or a part, by a regular expression (RE2) that fits
    all of it, or for being there at all."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    PATTERN = "pattern"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Text:
    """What a text must look like. `any_case`: letters are compared without regard to case."""

    form: Form
    value: str = ""
    any_case: bool = False

    def fits(self, text: str) -> bool:
        """Whether a text does."""
        value, text = (self.value.lower(), text.lower()) if self.any_case else (self.value, text)
        match self.form:
            case Form.EXACT:
                return text == value
            case Form.PREFIX:
                return text.startswith(value)
            case Form.SUFFIX:
                return text.endswith(value)
            case Form.CONTAINS:
                return value in text
            case Form.PATTERN:
                return re.fullmatch(self.value, text) is not None
            case Form.PRESENT:
                return text != ""


def exactly(value: str) -> Text:
    """The text itself."""
    return Text(Form.EXACT, value)


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller's certificate has a URI like that."""

    uri: Text


@dataclass(frozen=True, slots=True)
class Behind:
    """The caller is of a group whose members are behind the service with that namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Having:
    """The caller is of a group that declares all these labels."""

    labels: Labels


@dataclass(frozen=True, slots=True)
class Network:
    """The caller connects from one of these addresses (CIDR notation)."""

    cidr: str


@dataclass(frozen=True, slots=True)
class Header:
    """The request has this header, with a value like that. `:method` and `:authority` are headers too."""

    name: str
    value: Text


@dataclass(frozen=True, slots=True)
class Path:
    """The request's path, without its query, is like that."""

    path: Text


@dataclass(frozen=True, slots=True)
class Port:
    """The call comes to this port of the receiving workload."""

    number: int


@dataclass(frozen=True, slots=True)
class ServerName:
    """The connection names such a server (SNI), in clear text."""

    name: Text


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts hold; without any it always holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part holds; without any it never holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"


Who = Behind | Having
Test = Identity | Who | Network | Header | Path | Port | ServerName
Condition = Test | AllOf | AnyOf | Not

ALWAYS: Final = AllOf(())
NEVER: Final = AnyOf(())


def all_of(parts: Iterable[Condition]) -> Condition:
    """All of them, in the shortest form."""
    flat = (inner for part in parts for inner in (part.parts if isinstance(part, AllOf) else (part,)))
    kept = tuple(dict.fromkeys(flat))
    if NEVER in kept:
        return NEVER
    return kept[0] if len(kept) == 1 else AllOf(kept)


def any_of(parts: Iterable[Condition]) -> Condition:
    """Any of them, in the shortest form."""
    flat = (inner for part in parts for inner in (part.parts if isinstance(part, AnyOf) else (part,)))
    kept = tuple(dict.fromkeys(flat))
    if ALWAYS in kept:
        return ALWAYS
    return kept[0] if len(kept) == 1 else AnyOf(kept)


def none_of(parts: Iterable[Condition]) -> Condition:
    """None of them, in the shortest form."""
    part = any_of(parts)
    if part in (ALWAYS, NEVER):
        return NEVER if part == ALWAYS else ALWAYS
    return part.part if isinstance(part, Not) else Not(part)


def tests_in(condition: Condition) -> Iterator[Test]:
    """Every test of a condition."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from tests_in(part)
        case Not(part):
            yield from tests_in(part)
        case test:
            yield test


def replaced(condition: Condition, turn: Callable[[Test], Condition]) -> Condition:
    """The condition with something in place of each test, in the shortest form."""
    match condition:
        case AllOf(parts):
            return all_of(replaced(part, turn) for part in parts)
        case AnyOf(parts):
            return any_of(replaced(part, turn) for part in parts)
        case Not(part):
            return none_of([replaced(part, turn)])
        case test:
            return turn(test)


def is_about_requests(condition: Condition) -> bool:
    """Whether it tests what only requests have."""
    return any(isinstance(test, Header | Path) for test in tests_in(condition))


def widened_to_bytes(condition: Condition) -> Condition:
    """The condition without what only requests have: it holds of every connection of which it might hold."""
    match condition:
        case AllOf(parts):
            return all_of(map(widened_to_bytes, parts))
        case AnyOf(parts):
            return any_of(map(widened_to_bytes, parts))
        case _:
            return ALWAYS if is_about_requests(condition) else condition
