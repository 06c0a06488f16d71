"""What goes on under a credential ends once, however often that credential is taken back."""

import asyncio

from outrig.api.access.certificates import Certificates, Row
from outrig.api.callers import Caller
from outrig.resources import Resource
from outrig.store.protocol import Change, ChangeType

REVOKED = Row("ab", revoked="2026-11-22T11:00:00Z")
CHANGE = Change(ChangeType.MODIFIED, Resource(REVOKED.key, body=REVOKED.as_json()))


async def test_what_is_on_its_way_out_is_not_ended_again() -> None:
    certificates, caller = Certificates(), Caller("alice", (), "certificate", "ab")
    reached_end = asyncio.Event()

    async def stream() -> None:
        async with asyncio.timeout(None) as limit:
            with certificates.using(caller, limit):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    certificates.heard([CHANGE, CHANGE])
                    reached_end.set()
                    raise

    streaming = asyncio.ensure_future(stream())
    await asyncio.sleep(0)
    certificates.heard([CHANGE, CHANGE])
    await asyncio.wait([streaming])
    assert isinstance(streaming.exception(), TimeoutError)
    assert reached_end.is_set()
    assert not certificates._open
    certificates.heard([CHANGE])
    assert certificates.is_revoked("ab")
    certificates.heard([Change(ChangeType.DELETED, CHANGE.resource)])
    assert not certificates.is_revoked("ab")
