"""What is refused when a task definition is registered, and in which words."""

from typing import Any

import pytest
from moto.ecs.exceptions import EcsClientException

from outrig.local.registering import check_containers

ROLE = "arn:aws:iam::123456789012:role/execution"
APP = {"name": "app", "image": "idle"}
SECRET = {"name": "A", "valueFrom": "a"}
AWSLOGS = {"awslogs-group": "/g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}


def after(condition: str, **settings: Any) -> dict[str, Any]:
    return {**APP, "dependsOn": [{"containerName": "first", "condition": condition}], **settings}


def first(**settings: Any) -> dict[str, Any]:
    return {"name": "first", "image": "idle", "essential": False, **settings}


@pytest.mark.parametrize(
    ("containers", "role", "problem"),
    [
        ([after("START")], None, "there is no such container"),
        ([after("COMPLETE"), first(essential=True)], None, "its end would end the task"),
        ([after("SUCCESS"), first(essential=True)], None, "its end would end the task"),
        ([after("HEALTHY"), first()], None, "it has no health check"),
        ([after("START"), first(dependsOn=[{"containerName": "app", "condition": "START"}])], None, "has a cycle"),
        ([APP, APP], None, "must be unique"),
        ([{"image": "idle"}], None, "Container.name should not be null"),
        ([{"name": "app"}], None, "Container.image should not be null"),
        ([], None, "At least one container"),
        ([first()], None, "At least one container"),
        ([{**APP, "healthCheck": {"command": ["curl", "localhost"]}}], None, "begins with CMD or CMD-SHELL"),
        ([{**APP, "healthCheck": {"command": ["CMD-SHELL"]}}], None, "begins with CMD or CMD-SHELL"),
        ([{**APP, "healthCheck": {"command": []}}], None, "begins with CMD or CMD-SHELL"),
        ([{**APP, "secrets": [SECRET]}], None, "must also specify a value for 'executionRoleArn'"),
        ([{**APP, "secrets": [SECRET, SECRET]}], ROLE, "that of another variable too"),
        ([{**APP, "secrets": [SECRET], "environment": [{"name": "A"}]}], ROLE, "that of another variable too"),
        ([{**APP, "logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}}], None, "have execution role ARN"),
        ([{**APP, "logConfiguration": {"logDriver": "awslogs"}}], ROLE, "requires options: awslogs-group, awslogs-re"),
    ],
)
def test_what_could_never_run_is_refused(containers: list[dict[str, Any]], role: str | None, problem: str) -> None:
    with pytest.raises(EcsClientException) as refusal:
        check_containers(containers, role)
    assert problem in refusal.value.message


def test_what_can_run_is_not_refused() -> None:
    check = {"command": ["CMD-SHELL", "true"]}
    depends = [{"containerName": "first", "condition": one} for one in ("START", "HEALTHY", "COMPLETE", "SUCCESS")]
    logs = {"logDriver": "awslogs", "options": AWSLOGS}
    check_containers([{**APP, "dependsOn": depends, "logConfiguration": logs}, first(healthCheck=check)], ROLE)
    check_containers([{**APP, "healthCheck": {"command": ["NONE"]}, "secrets": [SECRET]}], ROLE)
