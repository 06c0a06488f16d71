"""What there is to tell of a request when it is over: noted along the way, by those who know.

In: the request's context, which its tasks share. Out: the `Account` of the request that is being answered. Outside of
a request notes go nowhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from outrig.api.access.rules import Attributes
from outrig.api.callers import Caller


@dataclass(slots=True)
class Account:
    """A request: who, what, what became of the resource, and facts about what was issued.

    `headers`: what its answer brings besides, whether it is taken or refused.
    """

    caller: Caller | None = None
    asked: Attributes | None = None
    mesh: str = ""
    name: str = ""
    revision: int = 0
    dry_run: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


_CURRENT: Final[ContextVar[Account | None]] = ContextVar("account", default=None)


@contextmanager
def accounting() -> Iterator[Account]:
    """A new account, which counts during the block."""
    account = Account()
    token = _CURRENT.set(account)
    try:
        yield account
    finally:
        _CURRENT.reset(token)


def account() -> Account:
    """The account of this request."""
    return _CURRENT.get() or Account()
