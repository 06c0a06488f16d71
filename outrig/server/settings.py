"""The settings of the control plane: what they are, and where a value comes from.

Defaults < file (`--config`, YAML) < environment (`OUTRIG_*`) < `--set NAME=VALUE`. A wrong value is refused with its
source, the value and what was expected; an unknown name in the file or on the command line is refused too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from outrig.attest.settings import AttestSettings
from outrig.ca.settings import CaSettings
from outrig.errors import OutrigError, did_you_mean
from outrig.kit.durations import duration, in_words

PREFIX = "OUTRIG_"
OFF = -1  # a port that is not opened


class BadSetting(OutrigError):
    """A setting's value or name is wrong."""

    code = "OUT001"


def _setting(default: Any, about: str, form: str) -> Any:
    return field(default=default, metadata={"about": about, "form": form})


def _port(default: int, about: str) -> Any:
    return _setting(default, about, "port")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `about` and `form` in a field's metadata are its documentation and the form of its text."""

    data_dir: Path = _setting(
        Path("~/.local/state/outrig/control-plane"), "where the control plane keeps all it has", "path"
    )
    bind: str = _setting("0.0.0.0", "address of the agents' and the xDS ports", "text")  # noqa: S104 - tasks are elsewhere
    api_bind: str = _setting("127.0.0.1", "address of the two API ports", "text")
    agents_port: int = _port(5678, "agents: HTTPS, joining and the stream")
    onboarding_port: int = _port(
        15443, "the same as `agents_port`, on the port that onboarding configurations default to"
    )
    xds_port: int = _port(5679, "Envoy: xDS over gRPC, mutual TLS")
    diagnostics_port: int = _port(5680, "`/healthy`, `/ready`, `/metrics`")
    diagnostics_bind: str = _setting("127.0.0.1", "address of the diagnostics port", "text")
    api_http_port: int = _port(5681, "API over plain HTTP; never beyond loopback")
    api_https_port: int = _port(5682, "API over HTTPS; the one in the kubeconfig")
    advertised_hosts: tuple[str, ...] = _setting(
        (), "names and addresses by which this control plane is reached, for its certificate", "list"
    )
    xds_host: str = _setting("", "host told to agents for xDS; empty: the one they joined at", "text")
    trust_domain: str = _setting(
        "cluster.local", "trust domain of mesh `default`; cannot change once certificates are issued", "domain"
    )
    certificate_lifetime: timedelta = _setting(
        timedelta(hours=1), "of workload and control identities; renewed at half", "duration"
    )
    disconnect_grace: timedelta = _setting(
        timedelta(seconds=10), "an agent away for longer than this: its endpoint is withdrawn", "duration"
    )
    absence_grace: timedelta = _setting(
        timedelta(minutes=5), "an agent away for longer than this: its registration is removed", "duration"
    )
    drain_bound: timedelta = _setting(
        timedelta(seconds=10), "at most this long a leaving workload waits for its peers", "duration"
    )
    loopback_is_admin: bool = _setting(
        False, "callers of the plain HTTP API on this machine are administrators", "boolean"
    )
    aws_endpoint_url: str = _setting(
        "", "one endpoint for all AWS services, for an emulator; empty: AWS itself", "text"
    )
    aws_regions: tuple[str, ...] = _setting((), "regions tasks may come from; empty: every region", "list")
    aws_accounts: tuple[str, ...] = _setting(
        (), "accounts tasks may come from; empty: those that policies name", "list"
    )
    strict_role_trust: bool = _setting(
        True, "refuse roles that others than ecs-tasks.amazonaws.com may assume", "boolean"
    )


def load_settings(*, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> Settings:
    """The settings of all sources. Raises BadSetting."""
    values: dict[str, Any] = {}
    for source, texts in (
        (str(file), _read_file(file)),
        ("environment", _from_environment(environment)),
        ("--set", dict(flags)),
    ):
        values |= {name: _parse(f"{source}: {_shown(source, name)}", name, text) for name, text in texts.items()}
    settings = Settings(**values)
    return replace(settings, data_dir=settings.data_dir.expanduser().absolute())


def as_text(value: Any) -> str:
    """A setting's value as it would be written."""
    if isinstance(value, timedelta):
        return in_words(value)
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "off" if value == OFF else str(value)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    known = {f.name for f in fields(Settings)}
    found = {name.removeprefix(PREFIX).lower(): text for name, text in environment.items() if name.startswith(PREFIX)}
    return {name: text for name, text in found.items() if name in known}


def _read_file(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(str(file), f"cannot be read: {error}", "a YAML file of `name: value`") from None
    if not isinstance(values, dict):
        raise BadSetting(str(file), "is not a mapping", "a YAML file of `name: value`")
    return {str(name): as_text(tuple(map(str, v)) if isinstance(v, list) else v) for name, v in values.items()}


def _shown(source: str, name: str) -> str:
    return PREFIX + name.upper() if source == "environment" else name


def _parse(place: str, name: str, text: str) -> Any:
    forms = {f.name: f.metadata["form"] for f in fields(Settings)}
    if name not in forms:
        raise BadSetting(place, "there is no such setting", did_you_mean(name, forms))
    read, expected = _FORMS[forms[name]]
    try:
        return read(text)
    except ValueError:
        raise BadSetting(place, f"{text!r} is not {expected}") from None


def _read_port(text: str) -> int:
    if text == "off":
        return OFF
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _read_boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _read_domain(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?", text):
        raise ValueError(text)
    return text


_FORMS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "text": (str, "text"),
    "path": (Path, "a path"),
    "port": (_read_port, "a port: 0 (any free one) to 65535, or `off`"),
    "boolean": (_read_boolean, "`true` or `false`"),
    "duration": (duration, "a duration such as `90s`, `15m` or `1h30m`"),
    "list": (
        lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
        "a list, separated by commas",
    ),
    "domain": (_read_domain, "a trust domain: lower-case letters, digits, dots and dashes"),
}


def ca_settings(settings: Settings) -> CaSettings:
    """What the authorities need to know."""
    return CaSettings(
        workload_lifetime=settings.certificate_lifetime,
        control_lifetime=settings.certificate_lifetime,
        trust_domains={"default": settings.trust_domain},
    )


def attest_settings(settings: Settings) -> AttestSettings:
    """What attestation needs to know."""
    return AttestSettings(
        accounts=settings.aws_accounts,
        regions=settings.aws_regions,
        strict_trust=settings.strict_role_trust,
        aws_endpoint_url=settings.aws_endpoint_url,
    )
