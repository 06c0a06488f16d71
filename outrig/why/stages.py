"""What a look at one part of a call gives: the call passes, with what was found there; or it ends."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from outrig.why.explanation import Ending, Step

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passed(Generic[T]):
    """The call goes on, with `found`."""

    step: Step
    found: T


@dataclass(frozen=True, slots=True)
class Ended:
    """The call ends here."""

    step: Step
    ending: Ending


Stage = Passed[T] | Ended
