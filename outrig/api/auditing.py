"""The audit log of writes: one line for every request that would change something, done or refused, on every API.

In: a request, what was noted of it, its answer. Out: a line to the logger `audit`, where joins are told too. It never
holds a body, a credential or a key: what is named here is known to whoever may read the resource.
"""

import secrets
from typing import Any, Final

import structlog
from starlette.requests import Request

from outrig.api.access.rules import Attributes
from outrig.api.accounts import Account
from outrig.api.callers import Caller

AUDIT_ID: Final = "audit-id"
LONGEST: Final = 256  # characters of what the client says of itself
_ASKING: Final = ("authorization.k8s.io", "authentication.k8s.io")


def tell(request: Request, account: Account, *, code: int, reason: str) -> str:
    """Write the line; gives its id, which the client is told too. Reviews only ask, so they have no line."""
    reference = secrets.token_hex(8)
    if account.asked and account.asked.group in _ASKING:
        return reference
    log = structlog.get_logger("audit")
    facts = {
        "id": reference,
        **_who(account.caller),
        **_where(request),
        **(_what(account.asked) if account.asked else {}),
        "mesh": account.mesh,
        **({"name": account.name[:LONGEST]} if account.name else {}),
        "dry_run": account.dry_run or request.query_params.get("dryRun") == "All",
        "manager": request.query_params.get("fieldManager", "")[:LONGEST],
        "code": code,
        "reason": reason,
        "revision": account.revision,
        **account.facts,
    }
    (log.info if 0 < code < 400 else log.warning)("write", **{k: v for k, v in facts.items() if v or k == "user"})
    return reference


def _who(caller: Caller | None) -> dict[str, Any]:
    """Who is told; the user is empty where a credential was not believed."""
    if caller is None:
        return {"user": ""}
    real = caller.behind
    return {**caller.as_json(), **({"impersonated_by": real.name, "own_groups": list(real.groups)} if real else {})}


def _where(request: Request) -> dict[str, Any]:
    return {
        "address": request.client.host if request.client else "",
        "agent": request.headers.get("user-agent", "")[:LONGEST],
        "method": request.method,
        "path": request.scope["path"][:LONGEST],
    }


def _what(asked: Attributes) -> dict[str, Any]:
    return {
        "verb": asked.verb,
        "group": asked.group[:LONGEST],
        "resource": asked.whole[:LONGEST],
        "namespace": asked.namespace[:LONGEST],
        "name": asked.name[:LONGEST],
    }
