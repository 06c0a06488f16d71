"""Settings that some workloads should have, and who asked for them."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from outrig.model.labels import Selector
from outrig.resources import Key

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Policy(Generic[S]):
    """Settings for the workloads that `applies_to` chooses.

    `rank` is the dialect's own precedence turned into data. Its first part is a level: of the matching policies of
    one level only that of highest rank counts; those that remain fold in rank order, lowest first, and a field that
    a later one sets wins. The core never asks which dialect a policy came from.
    """

    origin: Key
    applies_to: Selector
    settings: S
    rank: tuple[int | str, ...]
