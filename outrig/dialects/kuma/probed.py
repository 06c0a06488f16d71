"""The state of an inbound that has a `serviceProbe`: its probe says it, as in Kuma, so that it is shown and never kept.

In: a Dataplane's body, as written or as read. Out: the body without what its author cannot say; where somebody said it
nevertheless. So what a reader was shown can be written back at any time, and is no word of an author's.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.errors import Finding
from outrig.resources import Json, Key

IGNORED: Final = "Ignored"
NOT_READY: Final[Mapping[str, Any]] = {"state": "NotReady", "health": {"ready": False}}
"""How an inbound is shown that is not ready. Kuma has both spellings."""


def without_probed_state(body: Json) -> Json:
    """The body without states of probed inbounds; `Ignored` is their author's, and stays."""
    return with_inbounds(body, [_own(inbound) for inbound in inbounds_of(body)])


def overruled(written: Json, shown: Json, *, origin: Key) -> Iterator[Finding]:
    """Warnings of probed inbounds that somebody wrote to be ready, or not to be, and that are shown otherwise."""
    place = Place(origin, "networking.inbound")
    for index, (said, found) in enumerate(zip(inbounds_of(written), inbounds_of(shown), strict=False)):
        if found.get("serviceProbe") is not None and _readiness(said) not in (None, _readiness(found) is not False):
            why = "is not what its serviceProbe says, and has no effect"
            yield (place[index] / "state").warning(NOT_HONOURED, why, "without serviceProbe its author decides")


def inbounds_of(body: Json) -> list[Json]:
    """The inbounds in a Dataplane's body, as they are written."""
    return list((body.get("networking") or {}).get("inbound") or ())


def with_inbounds(body: Json, inbounds: list[Json]) -> Json:
    """The body with these in their place; the very same object if they are there."""
    if inbounds == inbounds_of(body):
        return body
    return {**body, "networking": {**body["networking"], "inbound": inbounds}}


def _own(inbound: Json) -> Json:
    if inbound.get("serviceProbe") is None or inbound.get("state") == IGNORED:
        return inbound
    return {field: value for field, value in inbound.items() if field not in NOT_READY}


def _readiness(inbound: Json) -> bool | None:
    """What an inbound says of itself; None if nothing."""
    ready = (inbound.get("health") or {}).get("ready")
    state = inbound.get("state")
    if state == NOT_READY["state"] or ready is False:
        return False
    return None if state in (None, IGNORED) and ready is None else True
