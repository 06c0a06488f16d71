"""Reading STS's answer: which role session is calling.

In: the bytes of a GetCallerIdentity answer. Out: `Caller`. Refused: anything but exactly one answer of exactly that
form (no DTD, no comments, no unknown parts), principals other than a role session, and parts that disagree.
Source: AWS STS API reference, GetCallerIdentity; IAM user guide, "IAM identifiers".
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from outrig.attest.refusals import AwsUnavailable, Inconsistent, NotATaskRole

_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
_ARN = re.compile(
    r"arn:(aws[a-z-]{0,16}):sts::([0-9]{12}):assumed-role/([\w+=,.@-]{1,64})/([\w+=,.@-]{2,64})", re.ASCII
)
_USER_ID = re.compile(r"(AROA[A-Z0-9]{12,64}):([\w+=,.@-]{2,64})", re.ASCII)
_TASK_ID = re.compile(r"[0-9a-f]{32}")
_NO_TASK_ROLES = ("AWSReservedSSO_", "AWSServiceRoleFor")


@dataclass(frozen=True, slots=True)
class Caller:
    """A role session as STS names it; `session` is what whoever assumed the role chose to call it."""

    partition: str
    account: str
    role_name: str
    role_id: str
    session: str


def read_caller(answer: bytes, *, partition: str) -> Caller:
    """The role session in an answer of that partition's STS. Raises AwsUnavailable, NotATaskRole, Inconsistent."""
    fields = _read_fields(answer)
    arn, user = _ARN.fullmatch(fields["Arn"]), _USER_ID.fullmatch(fields["UserId"])
    if not arn:
        kind = fields["Arn"].split(":")[-1].split("/")[0][:32]
        problem = "the credentials are not those of a task's role"
        raise NotATaskRole("aws", problem, "sign with the credentials ECS gives the task", detail=f"principal: {kind}")
    if not user or user[2] != arn[4] or fields["Account"] != arn[2] or arn[1] != partition:
        detail = f"Arn={fields['Arn']} UserId={fields['UserId']} Account={fields['Account']} partition={partition}"
        raise Inconsistent("aws", "what STS says about the caller disagrees with itself", detail=detail)
    return Caller(arn[1], arn[2], arn[3], user[1], arn[4])


def check_task_session(caller: Caller) -> None:
    """The session looks like one that ECS made for a task. Raises NotATaskRole."""
    if caller.role_name.startswith(_NO_TASK_ROLES):
        raise NotATaskRole("aws", f"role {caller.role_name} is no task role", "give the task a role of its own")
    if not _TASK_ID.fullmatch(caller.session):
        problem = f"the session of role {caller.role_name} is not named after a task"
        raise NotATaskRole("aws", problem, "sign with the credentials ECS gives the task", detail=caller.session)


def _read_fields(answer: bytes) -> dict[str, str]:
    root = _parse(answer)
    results = root.findall(f"{_NAMESPACE}GetCallerIdentityResult")
    if root.tag != f"{_NAMESPACE}GetCallerIdentityResponse" or len(results) != 1 or len(root) > 2:
        raise _unusable("not one GetCallerIdentityResponse")
    found = {child.tag.removeprefix(_NAMESPACE): child.text or "" for child in results[0]}
    if len(results[0]) != 3 or found.keys() != {"Arn", "UserId", "Account"} or any(len(c) for c in results[0]):
        raise _unusable("not exactly one each of Arn, UserId, Account")
    return found


def _parse(answer: bytes) -> ElementTree.Element:
    try:
        text = answer.decode("utf-8")
        # No declarations, so no entities, DTD or comments; an instruction only as the XML declaration itself.
        if "<!" in text or "<?" in text[1:]:
            raise _unusable("declarations in the answer")
        return ElementTree.fromstring(text)  # noqa: S314 - what is dangerous in XML was refused above
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise _unusable(f"not XML: {error}") from None


def _unusable(why: str) -> AwsUnavailable:
    return AwsUnavailable("aws", "STS gave an answer that cannot be used", retry_after=10, detail=why)
