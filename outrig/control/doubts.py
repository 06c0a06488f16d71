"""Sees to it that what could not be made into configuration is told: findings of the view, when they change.

In: the proxies that a change has reached. Out: their findings, to whoever writes them down.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from outrig.errors import Finding
from outrig.snapshot import ProxyId

Tell = Callable[[ProxyId, tuple[Finding, ...]], None]


class Findings(Protocol):
    """The world, as far as it is read here."""

    def findings(self, proxy: ProxyId) -> tuple[Finding, ...]:
        """What is doubtful about a proxy's configuration."""
        ...

    def take_doubtful(self) -> Iterable[ProxyId]:
        """The proxies whose findings may have changed since this was last asked, though their configuration did not."""
        ...


class Doubts:
    """Remembers what was told about each proxy, so that only news is told."""

    def __init__(self, world: Findings, tell: Tell) -> None:
        self._world, self._tell = world, tell
        self._told: dict[ProxyId, tuple[Finding, ...]] = {}

    def look(self, proxies: Iterable[ProxyId]) -> None:
        """Look at these proxies again, and at those whose findings alone have changed."""
        for proxy in {*proxies, *self._world.take_doubtful()}:
            findings = self._world.findings(proxy)
            if findings == self._told.get(proxy, ()):
                continue
            self._told[proxy] = findings
            self._tell(proxy, findings)
            if not findings:
                del self._told[proxy]
