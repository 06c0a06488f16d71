"""Acting as somebody else: the headers of `kubectl --as`, which need the verb `impersonate`.

In: headers, a caller, what decides. Out: the caller that counts. Refuses (403) whom the caller may not act as, in
Kubernetes' words: each of name, groups, uid and extra values is asked for by itself.
https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from starlette.datastructures import Headers

from outrig.api.access.grants import ACCOUNT, Grants
from outrig.api.access.rules import Attributes
from outrig.api.access.wording import refused
from outrig.api.accounts import account
from outrig.api.callers import ANONYMOUS, SIGNED_IN, UNKNOWN, Caller
from outrig.api.refusals import bad_request
from outrig.dialects.syntax import is_dns_label, is_dns_subdomain

USER: Final = "impersonate-user"
GROUP: Final = "impersonate-group"
UID: Final = "impersonate-uid"
EXTRA: Final = "impersonate-extra-"
IMPERSONATE: Final = "impersonate"
LONGEST: Final = 256  # characters
MOST: Final = 100
_AUTHENTICATION: Final = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom somebody would act as. `groups` are those asked for; `extra`: by key."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def asked(self) -> Iterator[Attributes]:
        """What must be allowed, each with the verb `impersonate`."""
        if found := _service_account(self.user):
            yield Attributes(IMPERSONATE, resource="serviceaccounts", namespace=found[0], name=found[1])
        else:
            yield Attributes(IMPERSONATE, resource="users", name=self.user)
        yield from (Attributes(IMPERSONATE, resource="groups", name=group) for group in self.groups)
        for key, values in self.extra.items():
            part = Attributes(IMPERSONATE, _AUTHENTICATION, "userextras", subresource=key)
            yield from (replace(part, name=value) for value in values)
        if self.uid:
            yield Attributes(IMPERSONATE, _AUTHENTICATION, "uids", name=self.uid)

    def all_groups(self) -> tuple[str, ...]:
        """With those that follow from the name: of a service account, where none is asked for; of everybody."""
        found = _service_account(self.user)
        groups = self.groups or ((f"{ACCOUNT}s", f"{ACCOUNT}s:{found[0]}") if found else ())
        if self.user == ANONYMOUS.name:
            return tuple(dict.fromkeys((*groups, UNKNOWN)))
        return tuple(dict.fromkeys(groups if {SIGNED_IN, UNKNOWN} & {*groups} else (*groups, SIGNED_IN)))

    def as_json(self) -> dict[str, Any]:
        """As the audit log tells it: not everything that somebody may send."""
        groups = [group[:LONGEST] for group in self.groups[:MOST]]
        said = {"user": self.user[:LONGEST], "groups": groups, "uid": self.uid, "extra": dict(self.extra)}
        return {part: value for part, value in said.items() if value}


def acting(caller: Caller, headers: Headers, grants: Grants) -> Caller:
    """Whom the caller acts as: itself, if no header says otherwise. Raises ApiError."""
    wanted = _wanted(headers)
    if not wanted.user:
        if wanted.as_json():
            raise bad_request("requested groups, a uid or extra fields without impersonating a user")
        return caller
    check_impersonation(caller, wanted, grants)
    who = replace(caller, name=wanted.user, groups=wanted.all_groups(), behind=caller)
    return replace(who, uid=wanted.uid, extra=wanted.extra)


def check_impersonation(caller: Caller, wanted: Wanted, grants: Grants) -> None:
    """Raises ApiError (403) where the caller may not act as that user, in those groups."""
    for asked in wanted.asked():
        if not grants.decide(caller, asked).allowed:
            account().facts["wanted"] = wanted.as_json()
            raise refused(caller, asked)


def _wanted(headers: Headers) -> Wanted:
    keys = dict.fromkeys(name for name in headers if name.startswith(EXTRA))
    extra: dict[str, tuple[str, ...]] = {}
    for name in keys:
        key = unquote(name.removeprefix(EXTRA))
        extra[key] = (*extra.get(key, ()), *headers.getlist(name))
    return Wanted(headers.get(USER, ""), tuple(headers.getlist(GROUP)), headers.get(UID, ""), extra)


def _service_account(user: str) -> tuple[str, str] | None:
    """The namespace and name of a service account that a user name stands for; None for other names."""
    namespace, _, name = user.removeprefix(f"{ACCOUNT}:").partition(":")
    is_one = user.startswith(f"{ACCOUNT}:") and is_dns_label(namespace) and is_dns_subdomain(name)
    return (namespace, name) if is_one else None
