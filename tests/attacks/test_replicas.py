"""Two control planes over one database: what one has granted or used up, the other knows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outrig.store.sqlite import open_sqlite
from tests.attacks.scene import AwsServer, Caller, Plane, RunningTask, lay_out, open_plane

pytestmark = pytest.mark.slow
Pair = tuple[Plane, Plane]


@pytest.fixture
async def planes(aws: AwsServer, tmp_path: Path) -> AsyncIterator[Pair]:
    async with open_sqlite(tmp_path / "outrig.db") as store:
        one, two = await asyncio.gather(*(open_plane(aws.url, store=store) for _ in range(2)))
        await lay_out(store)
        yield one, two
        for plane in (one, two):
            await plane.attestor.close()


async def test_they_share_their_authorities(planes: Pair) -> None:
    one, two = planes
    assert one.authorities.audience == two.authorities.audience
    assert one.authorities.control.pem == two.authorities.control.pem


async def test_a_challenge_of_one_is_answered_at_the_other_once(planes: Pair, task: RunningTask) -> None:
    one, two = planes
    request = await one.request(task)
    answers = await asyncio.gather(*(plane.post(request) for plane in (one, two, one, two)))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403]
    assert (await two.post(request)).json()["code"] == "OUT103"


async def test_a_key_is_pinned_for_both(planes: Pair, task: RunningTask) -> None:
    one, two = planes
    requests = [(plane, await plane.request(task, Caller())) for plane in (one, two)]
    answers = await asyncio.gather(*(plane.post(request) for plane, request in requests))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_renewal_at_the_other_is_a_renewal(planes: Pair, task: RunningTask) -> None:
    one, two = planes
    caller = Caller()
    first, second = (await one.join(task, caller)).json(), (await two.join(task, caller)).json()
    assert first["uid"] == second["uid"]
