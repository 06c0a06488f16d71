"""Refusals as Kubernetes Events, so that `kubectl get events` shows who was turned away, and why.

Equal refusals count up one Event. A caller that has not shown who it is can cause Events only for groups and proxies
that exist, and of others one for each code about their mesh; nobody can cause more of them than the settings allow.
Failing to write one never changes the answer to the join.
"""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime

from outrig.admission.documents import DATAPLANE, KINDS
from outrig.admission.enrolment import group_key
from outrig.admission.rate import Buckets
from outrig.admission.refusals import CsrRefused, DataplaneRefused, LabelRefused, Refused
from outrig.admission.settings import AdmissionSettings
from outrig.attest.refusals import NoCredentials
from outrig.dialects.core.event import event_key, event_time, warning_event
from outrig.dialects.kuma.mesh import MESH, mesh_key
from outrig.dialects.kuma.tags import namespace_of
from outrig.errors import OutrigError
from outrig.resources import Json, Key, Resource
from outrig.store.protocol import Query, Store, Transaction
from outrig.wire.join import JoinRequest

REASON = "OnboardingDenied"
_STATUSES = (403, 409)
_KINDS = (
    LabelRefused,
    CsrRefused,
    NoCredentials,
    DataplaneRefused,
)  # of other statuses, but a person has to mend what is wrong
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """What a refusal is told about. `shown` stands in the Event, in whose namespace it is written while `home` exists.

    `stored`: the resource itself. `asked`: what the caller wanted to be, where that is not what is shown.
    """

    shown: Key
    stored: Key
    home: Key
    asked: str = ""

    @property
    def at_home(self) -> "About":
        """The same, told about the mesh: of what anybody can make up a name for, that one name remains."""
        shown = Key(self.home.group, self.home.kind, "", self.shown.namespace, self.home.name)
        return About(shown, self.home, self.home, f"{self.shown.kind} {self.shown.name}: ")


def about(request: JoinRequest) -> About:
    """What the refusal of a request is about: a group, a Dataplane, a zone proxy."""
    if (join := request.dataplane) is None:
        group = group_key(request)
        return About(group, group, Key("", "Namespace", "", "", group.namespace))
    kind = KINDS.get(join.proxy_type, KINDS[DATAPLANE])
    stored = Key(kind.group, kind.name, join.mesh, "", join.name)
    return About(Key(kind.group, kind.name, "", namespace_of(join.mesh), join.name), stored, mesh_key(join.mesh))


class Denials:
    """Writes OnboardingDenied Events."""

    def __init__(self, store: Store, settings: AdmissionSettings) -> None:
        self._store, self._lifetime = store, settings.event_lifetime
        self._rate = Buckets(settings.events_per_minute / 60, settings.events_per_minute)

    async def record(self, about: About, refused: Refused, *, who: str, now: datetime) -> None:
        """Tell the namespace that `who` (empty if unknown) was refused.

        Outages and requests without the agreed form are not told: they are no denials.
        """
        if refused.status not in _STATUSES and not isinstance(refused, _KINDS):
            return
        try:
            if not (refused.proven or await self._store.get(about.stored)):
                if about.home.kind != MESH.name:
                    return
                about = about.at_home
            # Budgets apart, so that callers nobody knows cannot use up what is there to tell of known ones.
            if self._rate.take(f"{about.shown.namespace} {refused.proven}", time.monotonic()) > 0:
                return
            async with self._store.transaction() as tx:
                await self._write(tx, about, refused, who=who, now=now)
        except OutrigError as error:
            _log.warning("no Event for refusal %s: %s", refused.reference, error)

    async def _write(self, tx: Transaction, about: About, refused: Refused, *, who: str, now: datetime) -> None:
        if not await tx.get(about.home):
            return
        involved, key = await tx.get(about.stored), event_key(about.shown, about.shown.kind, refused.code, who)
        before = await tx.get(key)
        body = _body(about, refused, uid=involved.uid if involved else "", now=now)
        if before is None:
            await _forget(tx, about.shown.namespace, before=now - self._lifetime)
            await tx.create(Resource(key, body=body))
        else:
            again = {"firstTimestamp": before.body.get("firstTimestamp"), "count": before.body.get("count", 0) + 1}
            await tx.update(replace(before, body={**body, **again}))


async def _forget(tx: Transaction, namespace: str, *, before: datetime) -> None:
    for event in await tx.list(Query(kinds=(("", "Event"),), namespace=namespace)):
        last_seen = str(event.body.get("lastTimestamp") or "")
        if event.body.get("reason") == REASON and last_seen < event_time(before):
            await tx.delete(event.key)


def _body(about: About, refused: Refused, *, uid: str, now: datetime) -> Json:
    notes = "; ".join(note for note in (refused.detail, refused.hint) if note)
    message = f"{about.asked}{refused.code} {refused.reason}{f' ({notes})' if notes else ''} [{refused.reference}]"
    return warning_event(about.shown, uid=uid, reason=REASON, message=message, now=now)
