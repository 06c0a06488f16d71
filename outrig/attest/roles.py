"""The role behind a session: by unique id, in the right account, and assumable by ECS tasks alone.

Source: AWS IAM API reference, GetRole; IAM user guide, "Unique identifiers", "JSON policy elements: Principal".
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outrig.attest.aws import Answer, AnswerError, Aws
from outrig.attest.caller import Caller
from outrig.attest.refusals import RoleRefused, RoleTrusted
from outrig.attest.settings import AttestSettings

ECS_TASKS = "ecs-tasks.amazonaws.com"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """A role as IAM knows it. `trusted`: who may assume it, `kind:principal` each. `tags`: keys and values."""

    name: str
    role_id: str
    arn: str
    trusted: tuple[str, ...]
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def account(self) -> str:
        """The account it is in."""
        return self.arn.split(":")[4]

    def is_named(self, name: str) -> bool:
        """Whether a task definition that says `name` (an ARN, or a name with or without path) means this role."""
        return name in (self.arn, self.arn.partition(":role/")[2], self.name)


class Roles:
    """Asks IAM for roles; one question at a time for each, its answer good for a short while."""

    def __init__(self, aws: Aws, settings: AttestSettings) -> None:
        self._aws, self._settings = aws, settings
        self._kept: dict[Caller, tuple[float, Role]] = {}
        self._asked: dict[Caller, asyncio.Task[Role]] = {}

    async def of(self, caller: Caller, region: str, *, fresh: bool) -> Role:
        """The caller's role. `fresh`: ask, whatever is cached. Raises RoleRefused, RoleTrusted, and as `Aws.call`."""
        who = Caller(caller.partition, caller.account, caller.role_name, caller.role_id, session="")
        role = None if fresh else self._cached(who)
        role = role or await self._ask_once(who, region)
        check_role(role, who)
        check_trust(role, strict=self._settings.strict_trust)
        return role

    def _cached(self, who: Caller) -> Role | None:
        until, role = self._kept.get(who, (0.0, None))
        return role if asyncio.get_running_loop().time() < until else None

    async def _ask_once(self, who: Caller, region: str) -> Role:
        if who not in self._asked:
            task = self._asked[who] = asyncio.create_task(self._ask(who, region))
            task.add_done_callback(lambda _: self._asked.pop(who))
        return await asyncio.shield(self._asked[who])

    async def _ask(self, who: Caller, region: str) -> Role:
        try:
            answer = await self._aws.call("iam", region, "get_role", RoleName=who.role_name)
        except AnswerError as error:
            problem = f"role {who.role_name} cannot be found in the control plane's account"
            raise RoleRefused("aws", problem, "was it deleted?", detail=error.code) from None
        role, now = read_role(answer), asyncio.get_running_loop().time()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
        self._kept[who] = (now + self._settings.role_cache.total_seconds(), role)
        return role


def check_role(role: Role, caller: Caller) -> None:
    """The role is the very one the session belongs to. Raises RoleRefused."""
    if role.account != caller.account:
        problem = f"role {caller.role_name} is in account {caller.account}, whose roles this control plane cannot read"
        raise RoleRefused("aws", problem, detail=role.arn)
    if role.role_id != caller.role_id or role.name != caller.role_name:
        problem = f"role {caller.role_name} is not the one the credentials belong to: it was made anew"
        raise RoleRefused("aws", problem, "restart the task", detail=f"{role.role_id} is not {caller.role_id}")


def check_trust(role: Role, *, strict: bool) -> None:
    """Only ECS can have made the session. Raises RoleTrusted when strict."""
    others = [who for who in role.trusted or ("unreadable",) if who != f"Service:{ECS_TASKS}"]
    if not others:
        return
    problem = f"role {role.name} can be assumed by others than ECS tasks: {', '.join(others[:3])}"
    if strict:
        raise RoleTrusted("aws", problem, f"let its trust policy name {ECS_TASKS} alone")
    _log.warning("%s", problem)


def read_role(answer: Answer) -> Role:
    """The role in GetRole's answer."""
    role = answer["Role"]
    tags = tuple((tag["Key"], tag["Value"]) for tag in role.get("Tags") or ())
    return Role(role["RoleName"], role["RoleId"], role["Arn"], _trusted(role["AssumeRolePolicyDocument"]), tags)


def _trusted(policy: object) -> tuple[str, ...]:
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    return tuple(who for statement in _many(statements) for who in _principals(statement))


def _principals(statement: object) -> Iterable[str]:
    if not isinstance(statement, Mapping):
        return ["unreadable"]
    if statement.get("Effect") == "Deny":
        return []
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or not isinstance(principal, Mapping):
        return [f"any:{principal}"]
    return [f"{kind}:{who}" for kind, names in principal.items() for who in _many(names)]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
