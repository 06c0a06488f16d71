"""The values of a container's `secrets`, from Secrets Manager and the SSM parameter store, read as its execution role.

In: a task and its containers' `valueFrom`s.  Out: environment variables, or `CannotInitialize` with what ECS would
give as the task's stopped reason: the role may not read it, it is not there, or the JSON key is not in it.
"""

import json
from collections.abc import Mapping

from moto.core.exceptions import JsonRESTError
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from outrig.local.identities import refusal
from outrig.local.tasks import Task

_TRIED = "service call has been retried 1 time(s):"
_SHORTEST, _LONGEST = 7, 10  # the parts of a secret's ARN, without and with `:json-key:version-stage:version-id`


class CannotInitialize(Exception):
    """What a task needs before its containers start, and cannot have. Its text is the task's stopped reason."""


def read_secrets(task: Task, wanted: Mapping[str, str]) -> dict[str, str]:
    """The values by variable name, for `wanted` by variable name. Raises `CannotInitialize`."""
    return {name: _read(task, source) for name, source in wanted.items()}


def _read(task: Task, source: str) -> str:
    return _secret(task, source) if ":secretsmanager:" in source else _parameter(task, source)


def _secret(task: Task, source: str) -> str:
    parts = source.split(":")
    if not _SHORTEST <= len(parts) <= _LONGEST:
        raise _no_secret(source, "InvalidParameter: the ARN of a secret has 7 parts, and 3 more with a JSON key")
    arn, (key, stage, version) = ":".join(parts[:_SHORTEST]), (*parts[_SHORTEST:], "", "", "")[:3]
    denied = _denied(task, "secretsmanager:GetSecretValue", arn)
    if denied:
        raise _no_secret(arn, denied)
    try:
        answer = secretsmanager_backends[parts[4]][parts[3]].get_secret_value(arn, version or None, stage or None)
    except JsonRESTError as error:
        raise _no_secret(arn, f"{error.error_type}: {error.message}") from error
    except KeyError as error:
        raise _no_secret(arn, f"there is no region {error}") from error
    text = str(answer.get("SecretString") or "")
    return _entry(arn, text, key) if key else text


def _entry(arn: str, text: str, key: str) -> str:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _no_secret(arn, "the secret is not JSON") from error
    if not isinstance(document, dict) or key not in document:
        raise _no_secret(arn, f"retrieved secret from Secrets Manager did not contain json key {key}")
    value = document[key]
    return value if isinstance(value, str) else json.dumps(value)


def _parameter(task: Task, source: str) -> str:
    place = task.place
    prefix = f"arn:{place.partition}:ssm:{place.region}:{place.account}:parameter/"
    arn = source if source.startswith("arn:") else prefix + source.removeprefix("/")
    denied = _denied(task, "ssm:GetParameters", arn)
    if denied:
        raise _no_parameter(denied)
    name, parts = arn.partition(":parameter/")[2], arn.split(":")
    try:
        # an ARN has one slash, whether or not the name begins with one
        found = ssm_backends[parts[4]][parts[3]].get_parameters([name, f"/{name}"])
    except LookupError:
        found = {}
    if not found:
        raise _no_parameter(f"invalid ssm parameters: {source}")
    return str(next(iter(found.values())).response_object(decrypt=True)["Value"])


def _denied(task: Task, action: str, resource: str) -> str | None:
    return refusal(task.execution_role_arn or "", task.id, action=action, resource=resource)


def _no_secret(arn: str, problem: str) -> CannotInitialize:
    return _cannot_pull(f"secret from asm: {_TRIED} failed to fetch secret {arn} from secrets manager: {problem}")


def _no_parameter(problem: str) -> CannotInitialize:
    return _cannot_pull(f"secrets from ssm: {_TRIED} {problem}")


def _cannot_pull(problem: str) -> CannotInitialize:
    return CannotInitialize(
        "ResourceInitializationError: unable to pull secrets or registry auth: "
        f"execution resource retrieval failed: unable to retrieve {problem}"
    )
