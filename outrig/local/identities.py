"""Who may call the emulator's AWS: users made here, before the first request, and the roles of tasks.

moto verifies signatures and enforces IAM policies for all of them. Its AssumeRole call cannot be used for tasks (a
trust policy that names a service alone makes it answer 500), so role credentials come from its STS in Python.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from moto.core.exceptions import ServiceException
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, sts_backends

_LIFE = 6 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """An IAM user's access key."""

    access_key_id: str
    secret_access_key: str

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}


def create_user(account: str, region: str, name: str, actions: Sequence[str]) -> Keys:
    """An IAM user with a key, allowed `actions` on everything."""
    iam = iam_backends[account]["aws"]
    iam.create_user(region, name)
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_user_policy(name, "scene", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = iam.create_access_key(name)
    return Keys(key.access_key_id, key.secret_access_key)


def role_exists(arn: str) -> bool:
    _, _, of_role = arn.partition(":iam::")
    account, separator, _ = of_role.partition(":role/")
    try:
        iam_backends[account if separator else ""]["aws"].get_role_by_arn(arn)
    except ServiceException:
        return False
    return True


def refusal(role_arn: str, session: str, *, action: str, resource: str) -> str | None:
    """AWS's sentence if a role's policies do not let its session do this, else `None`."""
    _, partition, _, _, account, role = role_arn.split(":", 5)
    iam, name = iam_backends[account]["aws"], role.rpartition("/")[2]
    inline = [iam.get_role_policy(name, policy)[1] for policy in iam.list_role_policies(name)]
    attached, _ = iam.list_attached_role_policies(name)
    answers = {IAMPolicy(policy).is_action_permitted(action, resource) for policy in [*inline, *attached]}
    if PermissionResult.PERMITTED in answers and PermissionResult.DENIED not in answers:
        return None
    user = f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}"
    return (
        f"AccessDeniedException: User: {user} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


class RoleCredentials:
    """Temporary credentials of task roles, one set per task, renewed when a third of the life is left."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._current: dict[str, AssumedRole] = {}

    def document(self, role_arn: str, *, session: str, region: str) -> dict[str, str]:
        """What the credentials endpoint answers for the task `session`."""
        with self._lock:
            current = self._current.get(session)
            if current is None or _remaining(current) < _LIFE / 3:
                current = self._current[session] = _assume(role_arn, session=session, region=region)
        return {
            "RoleArn": role_arn,
            "AccessKeyId": current.access_key_id,
            "SecretAccessKey": current.secret_access_key,
            "Token": current.session_token,
            "Expiration": current.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def forget(self, session: str) -> None:
        with self._lock:
            self._current.pop(session, None)


def _assume(role_arn: str, *, session: str, region: str) -> AssumedRole:
    account = role_arn.split(":")[4]
    return sts_backends[account]["aws"].assume_role(
        region_name=region,
        role_session_name=session,
        role_arn=role_arn,
        policy="",
        duration=_LIFE,
        external_id="",
    )


def _remaining(role: AssumedRole) -> float:
    return float((role.expiration.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())
