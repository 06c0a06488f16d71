"""Who is shut out of a namespace: an annotation of the Namespace, one name a line.

A name is an AWS account, a role as `<account>/<role name>`, a task's ARN, an issuer of tokens, or one of its subjects
as `<issuer>#<subject>`. Lines are compared whole; there are no wildcards.
"""

import re
from collections.abc import Iterator
from typing import Final

from outrig.dialects.findings import INVALID, Place
from outrig.errors import Finding
from outrig.resources import Resource

BANNED: Final = "onboarding.outrig.dev/banned"
_NAMES: Final = re.compile(
    r"[0-9]{12}(/[\w+=,.@-]{1,64})?|arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:task/[\w-]+/[0-9a-f]{32}|https://[!-~]+"
    r"(#[ -~]+)?",
    re.ASCII,
)


def banned_in(namespace: Resource) -> frozenset[str]:
    """The names that are shut out of a namespace."""
    return frozenset(line.strip() for line in namespace.annotations.get(BANNED, "").splitlines() if line.strip())


def ban_findings(namespace: Resource) -> Iterator[Finding]:
    """Errors for lines that can name nobody."""
    place = Place(namespace.key, "metadata.annotations")[BANNED]
    for name in sorted(banned_in(namespace)):
        if not _NAMES.fullmatch(name):
            hint = "an account, <account>/<role name>, a task's ARN, an issuer, or <issuer>#<subject>; one a line"
            yield place.error(INVALID, f"{name!r} names nobody", hint)
