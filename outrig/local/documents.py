"""Tasks, services and containers in the shapes that the ECS API answers with (botocore's model of `ecs`)."""

from pathlib import Path
from typing import Any

from outrig.local.network import internal_domain
from outrig.local.services import Deployment, Service
from outrig.local.sessions import Session
from outrig.local.tasks import Task, TaskContainer

_PLATFORM = "1.4.0"


def task_document(task: Task) -> dict[str, Any]:
    """A `Task`. Tags are always in it: the caller's `include` decides whether they are answered."""
    overrides = task.request.overrides
    named = sorted({*overrides.commands, *overrides.environments})
    document = {
        "taskArn": task.arn,
        "clusterArn": task.place.cluster_arn,
        "taskDefinitionArn": task.definition.arn,
        "group": task.request.group,
        "startedBy": task.request.started_by or None,
        "launchType": "FARGATE",
        "platformVersion": _PLATFORM,
        "platformFamily": "Linux",
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": task.health,
        "availabilityZone": task.attachment.zone,
        "connectivity": "CONNECTED" if task.last_status == "RUNNING" else None,
        "cpu": task.definition.cpu,
        "memory": task.definition.memory,
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "stoppedAt": task.stopped_at,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason or None,
        "enableExecuteCommand": task.request.execute_command,
        "overrides": {
            "containerOverrides": [_override(task, name) for name in named],
            "taskRoleArn": overrides.role_arn,
        },
        "attachments": [_attachment(task)],
        "containers": [_container(task, container) for container in task.containers],
        "tags": task.request.tags,
        "version": 1,
    }
    return _without_none(document)


def service_document(service: Service, tasks: list[Task]) -> dict[str, Any]:
    """A `Service`; `tasks` are its own, and give the counts."""
    document = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.place.cluster_arn,
        "status": service.status,
        "desiredCount": service.desired,
        **_counts(tasks),
        "launchType": service.launch_type,
        "platformVersion": _PLATFORM,
        "platformFamily": "Linux",
        "taskDefinition": service.primary.definition.arn,
        "deployments": [deployment_document(service, one, tasks) for one in service.deployments],
        "deploymentConfiguration": {
            "minimumHealthyPercent": service.minimum_percent,
            "maximumPercent": service.maximum_percent,
            "deploymentCircuitBreaker": {"enable": service.breaker.enable, "rollback": service.breaker.rollback},
        },
        "deploymentController": {"type": "ECS"},
        "schedulingStrategy": "REPLICA",
        "events": [{"id": key, "createdAt": at, "message": text} for key, at, text in service.events],
        "createdAt": service.created_at,
        "enableExecuteCommand": service.execute_command,
        "propagateTags": service.propagate_tags,
        "tags": service.tags,
        **service.extra,
    }
    return _without_none(document)


def deployment_document(service: Service, deployment: Deployment, tasks: list[Task]) -> dict[str, Any]:
    own = [task for task in tasks if task.request.deployment == deployment.id]
    primary = deployment is service.primary
    wanted = service.desired if primary else sum(task.desired_status == "RUNNING" for task in own)
    return {
        "id": deployment.id,
        "status": "PRIMARY" if primary else "ACTIVE",
        "taskDefinition": deployment.definition.arn,
        "desiredCount": 0 if deployment.rollout == "FAILED" else wanted,
        **_counts(own),
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        "launchType": service.launch_type,
        "platformVersion": _PLATFORM,
        "platformFamily": "Linux",
        "networkConfiguration": service.extra.get("networkConfiguration"),
        "rolloutState": deployment.rollout,
        "rolloutStateReason": deployment.rollout_reason,
    }


def session_document(task: Task, container: TaskContainer, session: Session, *, control: Path) -> dict[str, Any]:
    """The answer to `ExecuteCommand`; the stand-in for `session-manager-plugin` finds the emulator by `control`."""
    return {
        "clusterArn": task.place.cluster_arn,
        "taskArn": task.arn,
        "containerArn": container_arn(task, container),
        "containerName": container.name,
        "interactive": True,
        "session": {"sessionId": session.id, "streamUrl": f"unix://{control}", "tokenValue": session.token},
    }


def _counts(tasks: list[Task]) -> dict[str, int]:
    running = sum(task.last_status == "RUNNING" for task in tasks)
    pending = sum(task.last_status in ("PROVISIONING", "PENDING") for task in tasks)
    return {"runningCount": running, "pendingCount": pending}


def _override(task: Task, name: str) -> dict[str, Any]:
    overrides = task.request.overrides
    environment = overrides.environments.get(name, {})
    document: dict[str, Any] = {"name": name}
    if name in overrides.commands:
        document["command"] = overrides.commands[name]
    if environment:
        document["environment"] = [{"name": key, "value": value} for key, value in environment.items()]
    return document


def _attachment(task: Task) -> dict[str, Any]:
    place = task.attachment
    details = {
        "subnetId": place.subnet,
        "networkInterfaceId": place.interface,
        "macAddress": place.mac,
        "privateDnsName": f"{place.hostname}.{internal_domain(task.place.region)}",
        "privateIPv4Address": place.address,
    }
    return {
        "id": place.id,
        "type": "ElasticNetworkInterface",
        "status": "DELETED" if task.last_status == "STOPPED" else "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


def _container(task: Task, container: TaskContainer) -> dict[str, Any]:
    document = {
        "containerArn": container_arn(task, container),
        "taskArn": task.arn,
        "name": container.name,
        "image": container.definition.image,
        "runtimeId": container.metadata_id,
        "lastStatus": container.status,
        "exitCode": container.exit_code,
        "reason": container.reason or None,
        "healthStatus": container.health,
        "networkBindings": [],
        "networkInterfaces": [{"attachmentId": task.attachment.id, "privateIpv4Address": task.attachment.address}],
        "cpu": container.definition.cpu,
        "memory": container.definition.memory,
    }
    if task.request.execute_command:
        agent = {
            "name": "ExecuteCommandAgent",
            "lastStatus": container.status,
            "lastStartedAt": container.started_at,
        }
        document["managedAgents"] = [_without_none(agent)]
    return _without_none(document)


def container_arn(task: Task, container: TaskContainer) -> str:
    return task.place.arn("container", f"{task.place.cluster}/{task.id}/{container.arn_id}")


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}
