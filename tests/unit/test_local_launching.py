"""From definition and image to a command line and an environment."""

from dataclasses import replace
from pathlib import Path

import pytest

from outrig.local.addresses import Addresses
from outrig.local.definition import ContainerDefinition, Definition, Overrides
from outrig.local.launching import CannotPull, Launcher
from outrig.local.layout import StateDirectory
from outrig.local.orders import LaunchOrder
from outrig.local.scene import Image, Scene
from outrig.local.tasks import Attachment, Place, Request, Task, TaskContainer

IMAGE = Image(entrypoint=["/entry"], command=["image"], env={"A": "image", "B": "image"}, user="1337", path="/opt/bin")
LAUNCHER = Launcher(Scene(images={"app:1": IMAGE}), StateDirectory(Path("/state")), ["/scene"])
CONTAINER = ContainerDefinition(
    name="app", image="app:1", essential=True, entrypoint=None, command=None, environment={"B": "definition"}, user="",
    directory="/", stop_timeout=30, depends_on=[], health=None, cpu="0", memory=None, labels={},
)  # fmt: skip


def order_for(
    container: ContainerDefinition, overrides: Overrides | None = None, role: str | None = None
) -> LaunchOrder:
    definition = Definition("arn:d", "app", 1, (container,), role, "256", "512")
    place, attachment = Place("123456789012", "eu-west-1", "demo"), Attachment("10.7.1.1", "eu-west-1a", "subnet-1")
    task = Task(place, definition, attachment, Request("family:app", overrides=overrides or Overrides()))
    task.containers = [TaskContainer(container)]
    return LAUNCHER.task_order(task)


def command_of(container: ContainerDefinition, overrides: Overrides | None = None) -> list[str]:
    return order_for(container, overrides).containers[0].command


def test_entry_point_and_command_follow_dockers_rule() -> None:
    assert command_of(CONTAINER) == ["/entry", "image"]
    assert command_of(replace(CONTAINER, command=["given"])) == ["/entry", "given"]
    assert command_of(replace(CONTAINER, entrypoint=["/own"])) == ["/own"]
    assert command_of(CONTAINER, Overrides(commands={"app": ["override"]})) == ["/entry", "override"]


def test_the_environment_starts_empty_and_the_nearest_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    environment = order_for(CONTAINER, Overrides(environments={"app": {"C": "override"}})).containers[0].environment
    assert (environment["A"], environment["B"], environment["C"]) == ("image", "definition", "override")
    assert "LEAK" not in environment
    assert environment["PATH"].startswith("/opt/bin:")
    assert (environment["HOME"], environment["AWS_REGION"]) == ("/", "eu-west-1")


def test_credentials_are_offered_only_to_tasks_with_a_role() -> None:
    name = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    assert name not in order_for(CONTAINER).containers[0].environment
    assert name in order_for(CONTAINER, role="arn:aws:iam::123456789012:role/r").containers[0].environment


def test_an_image_that_the_scene_does_not_name_cannot_be_pulled() -> None:
    with pytest.raises(CannotPull, match="known: app:1"):
        order_for(replace(CONTAINER, image="other"))


def test_of_the_state_directory_a_task_sees_its_files_alone_and_an_instance_its_own_besides() -> None:
    assert (order_for(CONTAINER).hidden, order_for(CONTAINER).visible) == ("/state", ["/scene", "/state/files"])
    scene = Scene.model_validate({"instances": {"web": {"address": "10.7.0.9", "command": ["/web"]}}})
    order = replace(LAUNCHER, scene=scene).instance_order("web", {}, [])
    assert (order.hidden, order.visible) == ("/state", ["/scene", "/state/files", "/state/web"])


def test_an_order_survives_the_wire() -> None:
    order = order_for(replace(CONTAINER, depends_on=[("other", "HEALTHY")]))
    assert LaunchOrder.decode(order.encode()) == order


def test_an_address_given_back_is_not_the_next_one_used() -> None:
    addresses = Addresses()
    first = addresses.take()
    addresses.give_back(first)
    assert addresses.take() != first
