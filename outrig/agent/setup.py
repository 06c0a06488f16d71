"""Everything the agent is told from outside, gathered once: flags, then environment, then files.

In: the parsed flags and the environment. Out: one frozen `Setup`. Refuses (`InvalidConfiguration`, `NotInTask`)
whatever is missing or wrong, before anything starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from outrig.agent import health_check
from outrig.agent.configuration import Onboarding, Output, read_agent, read_onboarding, read_roots
from outrig.agent.dataplane import ProxySeat
from outrig.agent.problems import InvalidConfiguration, NotInTask

LINK_LOCAL = "http://169.254.170.2"  # where ECS serves metadata and credentials to a task
ONBOARDING_FILE = "/etc/onboarding-agent/onboarding.config.yaml"
AGENT_FILE = "/etc/onboarding-agent/agent.config.yaml"
AUTO = "auto"  # a host's address: the one towards the control plane
DRAIN_SECONDS = 20  # under ECS's default stopTimeout of 30
LEVELS = ("debug", "info", "warning", "error")
ENVOY_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


@dataclass(frozen=True, slots=True)
class Flags:
    """Values of the command line; empty means not given."""

    onboarding_config: str = ""
    agent_config: str = ""
    root_certs: str = ""
    directory: str = ""
    envoy: str = ""
    log_level: str = ""


@dataclass(frozen=True, slots=True)
class TaskAddress:
    """Where ECS tells this container who it is. `link_local`: scheme and host of both endpoints."""

    metadata_url: str
    credentials_path: str
    link_local: str = LINK_LOCAL


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is no task of ECS. `token_file`: where its token is found. `address`: the workload's, or `auto`."""

    token_file: str
    address: str = AUTO


@dataclass(frozen=True, slots=True)
class DataplaneToken:
    """What a data plane proves who it is by: a token's text, or the file that holds it; neither: by nothing."""

    text: str = field(default="", repr=False)
    file: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the agent was told. `directory`, `envoy` empty: the default places. `drain_seconds`: bound of a stop.

    `seat`: where to join, and as what. One of `task`, `host` and `token` says who the workload is. `concurrency`:
    Envoy's worker threads; 0: by the task's CPU limit. `notices`: lines for the log about what was given in vain.
    """

    seat: Onboarding | ProxySeat
    output: Output
    roots: str
    task: TaskAddress | None = None
    host: Host | None = None
    token: DataplaneToken | None = None
    directory: str = ""
    envoy: str = ""
    concurrency: int = 0
    drain_seconds: float = DRAIN_SECONDS
    readiness_port: int = health_check.PORT
    log_level: str = "info"
    envoy_log_level: str = "warning"
    notices: tuple[str, ...] = ()


def read_setup(flags: Flags, environment: Mapping[str, str], link_local: str = LINK_LOCAL) -> Setup:
    """The whole of what the agent is told. `link_local` is another than ECS's only in tests.

    Raises InvalidConfiguration or NotInTask.
    """
    onboarding = read_onboarding(*_onboarding_text(flags, environment))
    agent, host = _agent_text(flags, environment), read_host(environment)
    return Setup(
        seat=onboarding,
        output=read_agent(*agent) if agent else Output(),
        roots=_roots(flags, environment, needed=onboarding.endpoint.verify),
        task=None if host else read_task_address(environment, link_local),
        host=host,
        directory=flags.directory or environment.get("OUTRIG_AGENT_DIR", ""),
        envoy=flags.envoy or environment.get("OUTRIG_ENVOY", ""),
        drain_seconds=_whole(environment, "OUTRIG_DRAIN_SECONDS", DRAIN_SECONDS, most=120),
        readiness_port=_whole(environment, "OUTRIG_READINESS_PORT", health_check.PORT, most=65535),
        log_level=flags.log_level or _word(environment, "OUTRIG_LOG_LEVEL", LEVELS, "info"),
        envoy_log_level=_word(environment, "ENVOY_LOG_LEVEL", ENVOY_LEVELS, "warning"),
    )


def read_host(environment: Mapping[str, str]) -> Host | None:
    """The host, if the environment names a file with a token; None for a task of ECS. Raises InvalidConfiguration."""
    file, address = environment.get("OUTRIG_JWT_FILE", ""), environment.get("OUTRIG_HOST_ADDRESS", "") or AUTO
    if not file:
        return None
    try:
        return Host(file, AUTO if address == AUTO else str(ip_address(address)))
    except ValueError:
        hint = "the address at which others reach this host"
        raise InvalidConfiguration(
            "OUTRIG_HOST_ADDRESS", f"expected an IP address or auto, got {address!r}", hint
        ) from None


def read_task_address(environment: Mapping[str, str], link_local: str = LINK_LOCAL) -> TaskAddress:
    """The endpoints ECS gave this container, held to the link-local address (no other host is ever asked).

    Raises NotInTask.
    """
    metadata = environment.get("ECS_CONTAINER_METADATA_URI_V4", "")
    if not metadata:
        hint = (
            "the agent runs as a container of an ECS task (Fargate 1.4, or EC2 with agent 1.39 or later); any other "
            "host needs a token, in --dataplane-token or OUTRIG_JWT_FILE, as identities of EC2 instances are not "
            "supported yet"
        )
        raise NotInTask("ECS_CONTAINER_METADATA_URI_V4", "not set", hint)
    if not _under(metadata, f"{link_local}/v4/"):
        raise NotInTask("ECS_CONTAINER_METADATA_URI_V4", f"expected {link_local}/v4/…, got {metadata!r}")
    path = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    if not path:
        raise NotInTask("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "not set", _no_credentials(environment))
    if not _under(link_local + path, f"{link_local}/"):
        raise NotInTask("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", f"expected a path, got {path!r}")
    return TaskAddress(metadata, path, link_local)


def _under(url: str, prefix: str) -> bool:
    return url.startswith(prefix) and url.isascii() and url.isprintable() and not set(url) & set("@#?\\ ")


def _no_credentials(environment: Mapping[str, str]) -> str:
    if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in environment:
        return "AWS_CONTAINER_CREDENTIALS_FULL_URI is not used: it could send the proof of identity to any host"
    return "the task definition needs a taskRoleArn: the task's IAM role is its proof of identity"


def _onboarding_text(flags: Flags, environment: Mapping[str, str]) -> tuple[str, str]:
    if flags.onboarding_config:
        return _file(flags.onboarding_config)
    if text := environment.get("ONBOARDING_CONFIG", ""):
        return "ONBOARDING_CONFIG", text
    if Path(ONBOARDING_FILE).exists():
        return _file(ONBOARDING_FILE)
    hint = f"set it to the text of an OnboardingConfiguration, or provide {ONBOARDING_FILE} or --onboarding-config FILE"
    raise InvalidConfiguration("ONBOARDING_CONFIG", "not set", hint)


def _agent_text(flags: Flags, environment: Mapping[str, str]) -> tuple[str, str] | None:
    if flags.agent_config:
        return _file(flags.agent_config)
    if text := environment.get("AGENT_CONFIG", ""):
        return "AGENT_CONFIG", text
    return _file(AGENT_FILE) if Path(AGENT_FILE).exists() else None


def _roots(flags: Flags, environment: Mapping[str, str], *, needed: bool) -> str:
    if flags.root_certs:
        return read_roots(*_file(flags.root_certs))
    if text := environment.get("ONBOARDING_AGENT_ROOT_CERTS", ""):
        return read_roots("ONBOARDING_AGENT_ROOT_CERTS", text)
    if needed:
        hint = "set it to the PEM text of the CA of the onboarding endpoint, or give --root-certs FILE"
        raise InvalidConfiguration("ONBOARDING_AGENT_ROOT_CERTS", "not set", hint)
    return ""


def _file(path: str) -> tuple[str, str]:
    try:
        return path, Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InvalidConfiguration(path, f"cannot be read: {error}") from None


def _whole(environment: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    text = environment.get(name, "") or str(default)
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) > most:
        raise InvalidConfiguration(name, f"expected a whole number from 0 to {most}, got {text!r}")
    return int(text)


def _word(environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    word = environment.get(name, "").lower() or default
    if word not in allowed:
        raise InvalidConfiguration(name, f"expected one of {', '.join(allowed)}, got {word!r}")
    return word
