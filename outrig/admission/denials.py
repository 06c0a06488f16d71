"""Refusals as Kubernetes Events, so that `kubectl get events` shows who was turned away, and why.

Equal refusals count up one Event. A caller that has not shown who it is can cause Events only for groups that exist,
and nobody can cause more of them than the settings allow. Failing to write one never changes the answer to the join.
"""

import logging
import time
from dataclasses import replace
from datetime import datetime

from outrig.admission.rate import Buckets
from outrig.admission.refusals import CsrRefused, LabelRefused, Refused
from outrig.admission.settings import AdmissionSettings
from outrig.attest.refusals import NoCredentials
from outrig.dialects.core.event import event_key, event_time, warning_event
from outrig.errors import OutrigError
from outrig.resources import Json, Key, Resource
from outrig.store.protocol import Query, Store, Transaction

REASON = "OnboardingDenied"
_STATUSES = (403, 409)
_KINDS = (LabelRefused, CsrRefused, NoCredentials)  # of other statuses, but a person has to mend what is wrong
_log = logging.getLogger(__name__)


class Denials:
    """Writes OnboardingDenied Events."""

    def __init__(self, store: Store, settings: AdmissionSettings) -> None:
        self._store, self._lifetime = store, settings.event_lifetime
        self._rate = Buckets(settings.events_per_minute / 60, settings.events_per_minute)

    async def record(self, group: Key, refused: Refused, *, who: str, now: datetime) -> None:
        """Tell the group's namespace that `who` (empty if unknown) was refused.

        Outages and requests without the agreed form are not told: they are no denials.
        """
        if refused.status not in _STATUSES and not isinstance(refused, _KINDS):
            return
        try:
            if not (refused.proven or await self._store.get(group)):
                return
            # Budgets apart, so that callers nobody knows cannot use up what is there to tell of known ones.
            if self._rate.take(f"{group.namespace} {refused.proven}", time.monotonic()) > 0:
                return
            async with self._store.transaction() as tx:
                await self._write(tx, group, refused, who=who, now=now)
        except OutrigError as error:
            _log.warning("no Event for refusal %s: %s", refused.reference, error)

    async def _write(self, tx: Transaction, group: Key, refused: Refused, *, who: str, now: datetime) -> None:
        if not await tx.get(Key("", "Namespace", "", "", group.namespace)):
            return
        involved, key = await tx.get(group), event_key(group, refused.code, who)
        before = await tx.get(key)
        body = _body(group, refused, uid=involved.uid if involved else "", now=now)
        if before is None:
            await _forget(tx, group.namespace, before=now - self._lifetime)
            await tx.create(Resource(key, body=body))
        else:
            again = {"firstTimestamp": before.body.get("firstTimestamp"), "count": before.body.get("count", 0) + 1}
            await tx.update(replace(before, body={**body, **again}))


async def _forget(tx: Transaction, namespace: str, *, before: datetime) -> None:
    for event in await tx.list(Query(kinds=(("", "Event"),), namespace=namespace)):
        last_seen = str(event.body.get("lastTimestamp") or "")
        if event.body.get("reason") == REASON and last_seen < event_time(before):
            await tx.delete(event.key)


def _body(group: Key, refused: Refused, *, uid: str, now: datetime) -> Json:
    notes = "; ".join(note for note in (refused.detail, refused.hint) if note)
    message = f"{refused.code} {refused.reason}{f' ({notes})' if notes else ''} [{refused.reference}]"
    return warning_event(group, uid=uid, reason=REASON, message=message, now=now)
