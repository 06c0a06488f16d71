"""What a join leaves on a Dataplane or zone proxy beside its text: annotations that only the control plane writes.

In: who joined. Out: annotations; and from them, who joined.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outrig.resources import Resource

JOINED: Final = "outrig.dev/joined"
"""`true`: it came by a join and goes with its agent. One that somebody wrote stays."""
PRINCIPAL: Final = "outrig.dev/principal"
ACCOUNT: Final = "outrig.dev/account"
TOKEN_KEY: Final = "outrig.dev/token-key"  # noqa: S105 - names of annotations
TOKEN_ID: Final = "outrig.dev/token-id"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Holder:
    """Who joined as it. `principal` names the caller; `kid` and `jti` the token it came with, empty if with none.

    `account`: AWS account and role, `<account>/<role name>`, of a task.
    """

    principal: str
    kid: str = ""
    jti: str = ""
    account: str = ""

    @property
    def names(self) -> frozenset[str]:
        """By which it can be banned: its principal, its role, its account."""
        return frozenset((self.principal, self.account, self.account.partition("/")[0])) - {""}

    def annotations(self, *, came: bool) -> dict[str, str]:
        """As they are stored; `came`: by this join, so that it goes with its agent."""
        token = {TOKEN_KEY: self.kid, TOKEN_ID: self.jti} if self.jti else {}
        account = {ACCOUNT: self.account} if self.account else {}
        return {PRINCIPAL: self.principal, **account, **token, **({JOINED: "true"} if came else {})}


def holder_of(resource: Resource) -> Holder | None:
    """Who joined last; None if nobody has."""
    said = resource.annotations
    if PRINCIPAL not in said:
        return None
    token = said.get(TOKEN_KEY, ""), said.get(TOKEN_ID, "")
    return Holder(said[PRINCIPAL], *token, account=said.get(ACCOUNT, ""))


def came_by_join(resource: Resource) -> bool:
    """Whether it goes with its agent."""
    return resource.annotations.get(JOINED) == "true"


def without_holder(annotations: Mapping[str, str]) -> dict[str, str]:
    """The annotations of one that nobody has joined."""
    ours = (JOINED, PRINCIPAL, ACCOUNT, TOKEN_KEY, TOKEN_ID)
    return {name: value for name, value in annotations.items() if name not in ours}
