"""DescribeTasks for many at once: who asks while a call about the same cluster is under way goes along in the next one.

ECS allows few such calls a second, and a fleet that starts asks for each of its tasks. A lone question goes out at
once, and every answer was asked for after the question came.
Source: Amazon ECS API reference, DescribeTasks (100 tasks in a call).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from outrig.attest.aws import Answer, AnswerError, Aws
from outrig.attest.evidence import Claim
from outrig.attest.refusals import Refused

_MOST = 100  # tasks in a call
Cluster = tuple[str, str, str]  # region, account, name


@dataclass(slots=True)
class _Batch:
    arns: set[str] = field(default_factory=set)
    answer: Answer | None = None
    error: AnswerError | Refused | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None


class Descriptions:
    """Asks ECS about tasks."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._next: dict[Cluster, _Batch] = {}
        self._turns: WeakValueDictionary[Cluster, asyncio.Lock] = WeakValueDictionary()

    async def of(self, claim: Claim) -> Answer:
        """What ECS says when asked about that task. Raises AnswerError, and as `Aws.call`."""
        cluster = (claim.region, claim.account, claim.cluster)
        batch, turn = self._join(cluster, claim.arn), self._turns.setdefault(cluster, asyncio.Lock())
        async with turn:
            if not batch.is_done:
                await self._ask(cluster, batch)
        if batch.error:
            raise batch.error
        return _about(claim.arn, batch)

    def _join(self, cluster: Cluster, arn: str) -> _Batch:
        batch = self._next.get(cluster)
        if batch is None or len(batch.arns) >= _MOST:
            batch = self._next[cluster] = _Batch()
        batch.arns.add(arn)
        return batch

    async def _ask(self, cluster: Cluster, batch: _Batch) -> None:
        """One call for the whole batch; whoever is cancelled in it leaves it to the next of them."""
        if self._next.get(cluster) is batch:
            del self._next[cluster]
        region, _, name = cluster
        try:
            batch.answer = await self._aws.call("ecs", region, "describe_tasks", cluster=name, tasks=sorted(batch.arns))
        except (AnswerError, Refused) as error:
            batch.error = error


def _about(arn: str, batch: _Batch) -> Answer:
    """The answer without what is about others of the batch; whatever is about nobody that was asked for stays."""
    answer, others = batch.answer or {}, batch.arns - {arn}
    return {
        **answer,
        "tasks": _but(others, answer.get("tasks") or [], "taskArn"),
        "failures": _but(others, answer.get("failures") or [], "arn"),
    }


def _but(others: set[str], listed: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [one for one in listed if one.get(name) not in others]
