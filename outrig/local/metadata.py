"""The two endpoints of the ECS agent on 169.254.170.2: task metadata version 4, and task role credentials.

In: GET requests from tasks.  Out: JSON as AWS documents it.  An answer needs both a path id that only the container
was told and the address of its own task: a foreign id gets 404.
"""

import json
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from outrig.local.documents import container_arn
from outrig.local.engine import Engine
from outrig.local.network import AGENT_ENDPOINT, GATEWAY, PREFIX, internal_domain
from outrig.local.tasks import Task, TaskContainer


class AgentEndpoint(ThreadingHTTPServer):
    """The server; its address exists in the VPC's namespace alone."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, engine: Engine) -> None:
        super().__init__((AGENT_ENDPOINT, 80), _Handler)
        self.engine = engine


class _Handler(BaseHTTPRequestHandler):
    server: AgentEndpoint

    def do_GET(self) -> None:
        document = answer(self.server.engine, self.client_address[0], self.path.partition("?")[0])
        body = json.dumps(document if document is not None else {"message": "not found"}).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Stay quiet: agents poll."""


def answer(engine: Engine, peer: str, path: str) -> dict[str, Any] | None:
    """The document for `path` as asked from address `peer`, or `None` if there is nothing there for that peer."""
    with engine.lock:
        task = engine.task_at(peer)
        match path.strip("/").split("/"):
            case _ if task is None:
                return None
            case ["v2", "credentials", id] if id == task.credentials_id and task.role_arn:
                return engine.credentials.document(task.role_arn, session=task.id, region=task.place.region)
            case ["v4", id, *rest]:
                container = next((one for one in task.containers if one.metadata_id == id), None)
                return _metadata(task, container, rest) if container else None
    return None


def _metadata(task: Task, container: TaskContainer, rest: list[str]) -> dict[str, Any] | None:
    match rest:
        case []:
            return _container(task, container)
        case ["task"]:
            return _task(task)
        case ["taskWithTags"]:
            return {**_task(task), "TaskTags": {tag["key"]: tag["value"] for tag in task.request.tags}}
        case ["stats"]:
            return {}
        case ["task", "stats"]:
            return {one.metadata_id: {} for one in task.containers}
    return None


def _task(task: Task) -> dict[str, Any]:
    return {
        "Cluster": task.place.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "Limits": _limits(task),
        "PullStartedAt": _time(task.created_at),
        "PullStoppedAt": _time(task.created_at),
        "AvailabilityZone": task.attachment.zone,
        "LaunchType": "FARGATE",
        "Containers": [_container(task, container) for container in task.containers],
    }


def _container(task: Task, container: TaskContainer) -> dict[str, Any]:
    document: dict[str, Any] = {
        "DockerId": container.metadata_id,
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.definition.image,
        "ImageID": "",
        "Labels": {
            "com.amazonaws.ecs.cluster": task.place.cluster_arn,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
            **container.definition.labels,
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.status,
        "Limits": {"CPU": int(container.definition.cpu)},
        "Type": "NORMAL",
        "ContainerARN": container_arn(task, container),
        "Networks": [_network(task)],
    }
    if container.started_at:
        document["CreatedAt"] = document["StartedAt"] = _time(container.started_at)
    if container.exit_code is not None:
        document["ExitCode"] = container.exit_code
    if container.definition.health:
        document["Health"] = {"status": container.health}
        if container.health_since:
            document["Health"]["statusSince"] = _time(container.health_since)
    return document


def _network(task: Task) -> dict[str, Any]:
    place = task.attachment
    return {
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [place.address],
        "AttachmentIndex": 0,
        "MACAddress": place.mac,
        "IPv4SubnetCIDRBlock": f"10.7.0.0/{PREFIX}",
        "PrivateDNSName": f"{place.hostname}.{internal_domain(task.place.region)}",
        "SubnetGatewayIpv4Address": f"{GATEWAY}/{PREFIX}",
    }


def _limits(task: Task) -> dict[str, float]:
    limits: dict[str, float] = {}
    if task.definition.cpu:
        limits["CPU"] = int(task.definition.cpu) / 1024
    if task.definition.memory:
        limits["Memory"] = int(task.definition.memory)
    return limits


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
