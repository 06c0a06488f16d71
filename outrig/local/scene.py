"""A scene: what container images mean here, the hosts beside the tasks, and the steps that set the stage.

In: a directory with `scene.yaml`.  Out: a frozen `Scene`, `${VENV}`, `${SCENE}` and `${DIR}` filled in.
It refuses unknown fields, addresses outside the VPC and names that are taken, each with its place in the file.
"""

import ipaddress
import re
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from outrig.errors import OutrigError
from outrig.kit.documents import document_in

VPC = ipaddress.ip_network("10.7.0.0/24")
FILE = "scene.yaml"
_PLACEHOLDER = re.compile(r"\$\{(VENV|SCENE|DIR)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_TAKEN = {"bin", "files", "kubeconfig", "logs"}  # an instance's directory lies beside these


class SceneError(OutrigError):
    """A `scene.yaml` that cannot be read or does not say what it should."""

    code: ClassVar[str] = "OUT802"


def _host_address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if address not in VPC or int(address) & 0xFF in (0, 1, 2, 255):
        raise ValueError("an instance's address is one of 10.7.0.3 to 10.7.0.254")
    return text


def _instance_name(text: str) -> str:
    if not _NAME.fullmatch(text) or text in _TAKEN:
        raise ValueError(f"an instance's name has letters, digits and '-', and is not {' or '.join(sorted(_TAKEN))}")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(_Part):
    """What running an image means: a command line of real processes. `path` goes in front of PATH."""

    entrypoint: list[str] = []
    command: list[str] = []
    env: dict[str, str] = {}
    user: str = ""
    path: str = ""


class Readiness(_Part):
    """`file` must exist, `http` must answer 2xx from inside the instance."""

    file: str | None = None
    http: str | None = None


class Instance(_Part):
    """A host with a fixed address and one process, kept running. `policy` lists the IAM actions it may use."""

    address: Annotated[str, AfterValidator(_host_address)]
    command: Annotated[list[str], Field(min_length=1)]
    environment: dict[str, str] = {}
    publish: dict[str, Annotated[int, Field(ge=1, le=65535)]] = {}
    policy: list[str] = []
    user: str = ""
    ready: Annotated[Readiness | None, Field(alias="await")] = None


class Step(_Part):
    """Shell text run in the host once the instances are ready."""

    name: str
    run: str


class Scene(_Part):
    """The whole of `scene.yaml`."""

    images: dict[str, Image] = {}
    instances: dict[Annotated[str, AfterValidator(_instance_name)], Instance] = {}
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] = "123456789012"
    region: str = "us-east-1"
    zones: Annotated[list[str], Field(min_length=1)] = ["us-east-1a"]
    mounts: list[str] = []
    kubeconfig: str | None = None
    steps: list[Step] = []
    hints: Annotated[list[str], Field(alias="try")] = []


def load_scene(scene: Path, directory: Path) -> Scene:
    """Read `scene` (a directory, or the file itself) for an emulator in `directory`. Raises `SceneError`."""
    file = scene / FILE if scene.is_dir() else scene
    try:
        text = file.read_text(encoding="utf-8")
        document = document_in(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SceneError(str(file), f"cannot be read: {error}", "a scene is a directory with scene.yaml") from error
    names = {"VENV": str(Path(sys.executable).parent), "SCENE": str(file.parent.resolve()), "DIR": str(directory)}
    try:
        parsed = Scene.model_validate(_fill(document, names))
    except ValidationError as error:
        raise SceneError(str(file), _problems(error)) from error
    _refuse_shared_addresses(file, parsed)
    return parsed


def _fill(value: object, names: dict[str, str]) -> object:
    """Replace our three names in every text; other `${...}` are left for the shell or the program."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: names[match[1]], value)
    if isinstance(value, list):
        return [_fill(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, names) for key, item in value.items()}
    return value


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, part['loc'])) or 'document'}: {_said(part)}" for part in error.errors())


def _said(part: ErrorDetails) -> str:
    if part["type"] == "extra_forbidden":
        return "unknown field"
    return part["msg"].removeprefix("Value error, ")


def _refuse_shared_addresses(file: Path, scene: Scene) -> None:
    owner: dict[str, str] = {}
    for name, instance in scene.instances.items():
        if instance.address in owner:
            raise SceneError(str(file), f"instances {owner[instance.address]!r} and {name!r} share {instance.address}")
        owner[instance.address] = name
