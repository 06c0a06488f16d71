"""Who this task is, and its role's credentials: the two link-local endpoints of ECS.

Both are unauthenticated, and so are hints: the control plane asks AWS itself. Answers are bounded and typed; a
redirect is an error. Credentials live in memory for one proof and are never written or logged.
Source: AWS, "Amazon ECS task metadata endpoint version 4" and "Task IAM role".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from outrig.agent.exchange import Request, ask_tcp
from outrig.agent.problems import TaskEndpointFailed
from outrig.agent.setup import TaskAddress
from outrig.agent.signing import Credentials

TASK_ARN = re.compile(r"arn:[a-z-]+:ecs:([a-z0-9-]+):[0-9]{12}:task/[\w/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Task:
    """This task, as its metadata has it. `cluster`: ARN or name. `cpus`: limit in vCPU, 0 if there is none.

    Of a host that is no task only the addresses are known; the rest is empty.
    """

    arn: str
    cluster: str
    region: str
    zone: str
    addresses: tuple[str, ...]
    cpus: float = 0.0


async def describe_task(address: TaskAddress) -> Task:
    """This task. Raises TaskEndpointFailed."""
    container, task = await fetch_metadata(address), await fetch_metadata(address, "/task")
    return read_task(task, container)


async def fetch_metadata(address: TaskAddress, path: str = "") -> Mapping[str, Any]:
    """What ECS says of this container, or with `/task` of the whole task. Raises TaskEndpointFailed."""
    return await _get(address.metadata_url + path, "task metadata" if path else "container metadata")


def read_task(task: Mapping[str, Any], container: Mapping[str, Any]) -> Task:
    """A task from the two metadata documents. Raises TaskEndpointFailed."""
    arn = _text(task, "TaskARN", "task metadata")
    matched = TASK_ARN.fullmatch(arn)
    if not matched:
        raise TaskEndpointFailed("task metadata TaskARN", f"not the ARN of an ECS task: {arn[:200]!r}")
    limits = task.get("Limits")
    cpus = limits.get("CPU", 0) if isinstance(limits, Mapping) else 0
    return Task(
        arn=arn,
        cluster=_text(task, "Cluster", "task metadata"),
        region=matched.group(1),
        zone=str(task.get("AvailabilityZone", "")),
        addresses=_addresses(container),
        cpus=float(cpus) if isinstance(cpus, int | float) else 0.0,
    )


async def fetch_credentials(address: TaskAddress) -> Credentials:
    """Fresh credentials of the task role. Raises TaskEndpointFailed."""
    found = await _get(address.link_local + address.credentials_path, "task role credentials")
    return Credentials(*(_text(found, name, "task role credentials") for name in _CREDENTIALS))


_CREDENTIALS = ("AccessKeyId", "SecretAccessKey", "Token")


async def _get(url: str, what: str) -> Mapping[str, Any]:
    parts = urlsplit(url)
    request = Request("GET", parts.netloc, parts.path, timeout=5.0)
    try:
        answer = await ask_tcp(request, str(parts.hostname), parts.port or 80)
    except OSError as error:
        raise TaskEndpointFailed(what, f"{parts.netloc} does not answer: {error or type(error).__name__}") from None
    if answer.status != 200:
        raise TaskEndpointFailed(what, f"{parts.netloc} answered with status {answer.status}")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise TaskEndpointFailed(what, f"{parts.netloc} did not answer with JSON") from None
    if not isinstance(found, Mapping):
        raise TaskEndpointFailed(what, f"{parts.netloc} did not answer with a JSON object")
    return found


def _text(values: Mapping[str, Any], name: str, what: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise TaskEndpointFailed(f"{what} {name}", "missing, or not text")
    return value


def _addresses(container: Mapping[str, Any]) -> tuple[str, ...]:
    networks = container.get("Networks")
    found: list[str] = []
    for network in networks if isinstance(networks, list) else ():
        for name in ("IPv4Addresses", "IPv6Addresses"):
            listed = network.get(name) if isinstance(network, Mapping) else None
            found += [ip for ip in listed if isinstance(ip, str)] if isinstance(listed, list) else []
    if not found:
        hint = "the task definition needs networkMode awsvpc"
        raise TaskEndpointFailed("container metadata Networks", "the task has no address of its own", hint)
    return tuple(dict.fromkeys(found))
