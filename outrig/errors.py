"""The errors and findings that users meet: a stable code, the place, what is wrong, what to do.

`OutrigError` stops what was asked for. A `Finding` is the same message as data: the core returns findings, it
never raises on what a user wrote. Every code is listed in `docs/errors.md`, which a test checks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import ClassVar

from outrig.resources import Key


class OutrigError(Exception):
    """Something a user can mend. Subclasses set `code`; `str()` gives the whole message on one line."""

    code: ClassVar[str] = "OUT000"

    def __init__(self, place: str, problem: str, hint: str = "") -> None:
        self.place, self.problem, self.hint = place, problem, hint
        super().__init__(message(self.code, place, problem, hint))


class Severity(StrEnum):
    """Whether a finding refuses the resource or only warns its author."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong, or doubtful, with a resource. `path` is a field path such as `spec.ingress[0].port`."""

    code: str
    origin: Key
    path: str
    problem: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.origin} {self.path}".rstrip()
        return message(self.code, place, self.problem, self.hint)


def message(code: str, place: str, problem: str, hint: str) -> str:
    """`CODE place: problem (hint)`."""
    return f"{code} {place}: {problem} ({hint})" if hint else f"{code} {place}: {problem}"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word, or a few of the known ones; empty if there are none."""
    known = sorted(known)
    close = get_close_matches(wrong, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"known: {', '.join(known[:5])}{more}" if known else ""
