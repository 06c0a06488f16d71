"""From a task definition to processes: command lines, environments and files, as a `LaunchOrder`.

Images mean what the scene says. The environment starts empty; what the definition says wins over the image, what the
overrides say wins over both. It refuses images that the scene does not name.
"""

from dataclasses import dataclass

from outrig.local.definition import ContainerDefinition
from outrig.local.layout import StateDirectory
from outrig.local.network import AGENT_ENDPOINT, GATEWAY
from outrig.local.orders import Await, ContainerOrder, LaunchOrder, Publication
from outrig.local.scene import Image, Instance, Scene
from outrig.local.secret_values import read_secrets
from outrig.local.tasks import Task, TaskContainer

API_URL = f"http://{GATEWAY}:4566"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CannotPull(Exception):
    """An image that this machine does not know."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """Turns tasks and instances into orders.

    `visible` are the paths that stay in everybody's view of files; of the state directory, which holds keys, each
    sees nothing else but `files`, and an instance its own directory.
    """

    scene: Scene
    state: StateDirectory
    visible: list[str]

    def task_order(self, task: Task) -> LaunchOrder:
        """The order for `task`; notes each container's environment in it. Raises `CannotPull`, `CannotInitialize`."""
        return LaunchOrder(
            key=task.id,
            address=task.attachment.address,
            hostname=task.attachment.hostname,
            region=task.place.region,
            containers=[self._container_order(task, container) for container in task.containers],
            hidden=str(self.state.path),
            visible=[*self.visible, str(self.state.files)],
        )

    def instance_order(self, name: str, keys: dict[str, str], publish: list[Publication]) -> LaunchOrder:
        """The order for an instance of the scene, with the access keys of its IAM user."""
        instance = self.scene.instances[name]
        return LaunchOrder(
            key=name,
            address=instance.address,
            hostname=name,
            region=self.scene.region,
            containers=[self._instance_container(name, instance, keys)],
            hidden=str(self.state.path),
            visible=[*self.visible, str(self.state.files), str(self.state.instance(name))],
            restart=True,
            publish=publish,
            ready=Await(instance.ready.file, instance.ready.http) if instance.ready else None,
        )

    def _container_order(self, task: Task, container: TaskContainer) -> ContainerOrder:
        definition = container.definition
        image = self.scene.images.get(definition.image)
        if image is None:
            known = ", ".join(sorted(self.scene.images)) or "none"
            raise CannotPull(
                f"CannotPullContainerError: image {definition.image!r} is not in the scene; known: {known}"
            )
        user = definition.user or image.user
        container.environment = self._environment(task, container, image, user=user)
        return ContainerOrder(
            name=definition.name,
            command=_command(definition, image, task.request.overrides.commands.get(definition.name)),
            environment=container.environment,
            log=str(self.state.task_log(task.id, definition.name)),
            user=user,
            directory=definition.directory,
            essential=definition.essential,
            start_timeout=definition.start_timeout,
            stop_timeout=definition.stop_timeout,
            depends_on=definition.depends_on,
            health=definition.health,
        )

    def _environment(self, task: Task, container: TaskContainer, image: Image, *, user: str) -> dict[str, str]:
        region = task.place.region
        environment = {
            **_bare_environment(image.path, user=user, hostname=task.attachment.hostname),
            **image.env,
            "ECS_CONTAINER_METADATA_URI_V4": f"http://{AGENT_ENDPOINT}/v4/{container.metadata_id}",
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": API_URL,
        }
        if task.role_arn:
            environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{task.credentials_id}"
        overrides = task.request.overrides.environments.get(container.name, {})
        secrets = read_secrets(task, container.definition.secrets)
        return {**environment, **container.definition.environment, **secrets, **overrides}

    def _instance_container(self, name: str, instance: Instance, keys: dict[str, str]) -> ContainerOrder:
        region = self.scene.region
        environment = {
            **_bare_environment("", user=instance.user, hostname=name),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": API_URL,
            **keys,
            **instance.environment,
        }
        return ContainerOrder(
            name=name,
            command=instance.command,
            environment=environment,
            log=str(self.state.instance_log(name)),
            user=instance.user,
        )


def _command(definition: ContainerDefinition, image: Image, override: list[str] | None) -> list[str]:
    """Docker's rule: the definition's entry point drops the image's command, a command alone keeps the entry point."""
    if definition.entrypoint is not None:
        return definition.entrypoint + (override or definition.command or [])
    return image.entrypoint + (override or definition.command or image.command)


def _bare_environment(path: str, *, user: str, hostname: str) -> dict[str, str]:
    home = "/root" if user.partition(":")[0] in ("", "0", "root") else "/"
    return {"PATH": f"{path}:{_SYSTEM_PATH}" if path else _SYSTEM_PATH, "HOME": home, "HOSTNAME": hostname}
