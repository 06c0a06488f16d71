"""Questions about tasks go together while a call is under way, and nobody's answer is anybody else's."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from outrig.attest.aws import AnswerError, Aws
from outrig.attest.descriptions import Descriptions
from outrig.attest.evidence import Claim
from outrig.attest.refusals import AwsUnavailable


def claim(number: int, cluster: str = "bookinfo") -> Claim:
    return Claim("aws", "us-east-1", "123456789012", cluster, f"{number:032x}")


class Ecs:
    """ECS that answers when it is let, and knows the tasks with even numbers."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.may = asyncio.Event()
        self.error: Exception | None = None

    async def call(self, _service: str, _region: str, _action: str, *, cluster: str, tasks: list[str]) -> Any:
        self.calls.append(tasks)
        await self.may.wait()
        if self.error:
            raise self.error
        assert all(f"/{cluster}/" in arn for arn in tasks)
        known = [arn for arn in tasks if int(arn[-1], 16) % 2 == 0]
        missing = [{"arn": arn, "reason": "MISSING"} for arn in tasks if arn not in known]
        return {"tasks": [{"taskArn": arn} for arn in known], "failures": missing}


@pytest.fixture
def ecs() -> Ecs:
    return Ecs()


@pytest.fixture
def descriptions(ecs: Ecs) -> Descriptions:
    return Descriptions(cast("Aws", ecs))


async def started(*questions: Any) -> list[Any]:
    """The questions as tasks that have got as far as they can."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_asks_while_a_call_is_under_way_goes_along_in_the_next(ecs: Ecs, descriptions: Descriptions) -> None:
    first = await started(descriptions.of(claim(0)))
    later = await started(*(descriptions.of(claim(number)) for number in (2, 3, 4)))
    assert ecs.calls == [[claim(0).arn]]
    ecs.may.set()
    answers = await asyncio.gather(*first, *later)
    assert ecs.calls == [[claim(0).arn], [claim(2).arn, claim(3).arn, claim(4).arn]]
    assert [answer["tasks"] for answer in answers] == [
        [{"taskArn": claim(0).arn}], [{"taskArn": claim(2).arn}], [], [{"taskArn": claim(4).arn}]
    ]  # fmt: skip
    assert [len(answer["failures"]) for answer in answers] == [0, 0, 1, 0]


async def test_clusters_and_accounts_do_not_wait_for_each_other(ecs: Ecs, descriptions: Descriptions) -> None:
    others = (claim(2, "other"), replace(claim(4), account="999999999999"))
    asked = await started(descriptions.of(claim(0)), *(descriptions.of(other) for other in others))
    assert ecs.calls == [[one.arn] for one in (claim(0), *others)]
    ecs.may.set()
    await asyncio.gather(*asked)


async def test_a_call_is_about_a_hundred_tasks_at_most(ecs: Ecs, descriptions: Descriptions) -> None:
    asked = await started(*(descriptions.of(claim(number)) for number in range(251)))
    ecs.may.set()
    await asyncio.gather(*asked)
    assert [len(tasks) for tasks in ecs.calls] == [1, 100, 100, 50]
    assert len({arn for tasks in ecs.calls for arn in tasks}) == 251


@pytest.mark.parametrize("error", [AnswerError("ClusterNotFoundException"), AwsUnavailable("aws", "away")])
async def test_a_failed_call_fails_for_all_of_it_and_is_not_repeated(
    error: Exception, ecs: Ecs, descriptions: Descriptions
) -> None:
    first = await started(descriptions.of(claim(0)))
    later = await started(descriptions.of(claim(2)), descriptions.of(claim(4)))
    ecs.error = error
    ecs.may.set()
    assert await asyncio.gather(*first, *later, return_exceptions=True) == [error] * 3
    assert len(ecs.calls) == 2


async def test_who_is_cancelled_in_a_call_takes_nobody_along(ecs: Ecs, descriptions: Descriptions) -> None:
    (first,) = await started(descriptions.of(claim(0)))
    leader, follower = await started(descriptions.of(claim(2)), descriptions.of(claim(4)))
    first.cancel()
    await asyncio.sleep(0)
    await started()
    leader.cancel()
    await started()
    ecs.may.set()
    assert (await follower)["tasks"] == [{"taskArn": claim(4).arn}]


async def test_every_answer_was_asked_for_after_its_question(ecs: Ecs, descriptions: Descriptions) -> None:
    """A task asked about again while its first question is under way is asked about again."""
    asked = await started(descriptions.of(claim(0)))
    asked += await started(descriptions.of(claim(0)))
    ecs.may.set()
    await asyncio.gather(*asked)
    assert ecs.calls == [[claim(0).arn], [claim(0).arn]]
