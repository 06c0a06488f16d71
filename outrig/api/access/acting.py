"""Acting as somebody else: the headers of `kubectl --as`, which need the verb `impersonate`.

In: headers, a caller, what decides. Out: the caller that counts. Refuses (403) whom the caller may not act as, in
Kubernetes' words; and uids and extra fields, which callers do not have here.
https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from starlette.datastructures import Headers

from outrig.api.access.grants import Grants
from outrig.api.access.rules import Attributes
from outrig.api.access.wording import refused
from outrig.api.callers import ANONYMOUS, SIGNED_IN, UNKNOWN, Caller
from outrig.api.refusals import ApiError, bad_request

USER: Final = "impersonate-user"
GROUP: Final = "impersonate-group"
_NOT_KEPT: Final = ("impersonate-uid", "impersonate-extra-")
IMPERSONATE: Final = "impersonate"


def acting(caller: Caller, headers: Headers, grants: Grants) -> Caller:
    """Whom the caller acts as: itself, if no header says otherwise. Raises ApiError."""
    user, groups = headers.get(USER, ""), headers.getlist(GROUP)
    if unknown := next((name for name in headers if name.startswith(_NOT_KEPT)), None):
        raise ApiError("Forbidden", f"the header {unknown} is not supported: a name and groups are all a caller has")
    if not user and not groups:
        return caller
    if not user:
        raise bad_request("requested groups without impersonating a user")
    check_impersonation(caller, user, groups, grants)
    everybody = UNKNOWN if user == ANONYMOUS.name else SIGNED_IN
    return replace(caller, name=user, groups=tuple(dict.fromkeys((*groups, everybody))), behind=caller)


def check_impersonation(caller: Caller, user: str, groups: list[str], grants: Grants) -> None:
    """Raises ApiError (403) where the caller may not act as that user in those groups."""
    for asked in _asked(user, groups):
        if not grants.decide(caller, asked).allowed:
            raise refused(caller, asked)


def _asked(user: str, groups: list[str]) -> Iterator[Attributes]:
    yield Attributes(IMPERSONATE, resource="users", name=user)
    yield from (Attributes(IMPERSONATE, resource="groups", name=group) for group in groups)
