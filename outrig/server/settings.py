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

from outrig.admission.settings import AdmissionSettings
from outrig.attest.settings import AttestSettings
from outrig.ca.settings import SHORTEST, CaSettings
from outrig.errors import OutrigError, did_you_mean
from outrig.kit.durations import duration, in_words

PREFIX = "OUTRIG_"
OFF = -1  # a port that is not opened
LONGEST = timedelta(days=3653)  # of a duration: beyond some size they cannot be added to a date


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
    bind: str = _setting("0.0.0.0", "address of the agents' and the xDS ports", "host")  # noqa: S104 - tasks are elsewhere
    api_bind: str = _setting("127.0.0.1", "address of the API's HTTPS port; plain HTTP is always on 127.0.0.1", "host")
    agents_port: int = _port(5678, "agents: HTTPS, joining and the stream")
    onboarding_port: int = _port(
        15443, "the same as `agents_port`, on the port that onboarding configurations default to"
    )
    xds_port: int = _setting(5679, "Envoy: xDS over gRPC, mutual TLS; cannot be `off`", "open port")
    diagnostics_port: int = _port(5680, "`/healthy`, `/ready`, `/metrics`")
    diagnostics_bind: str = _setting("127.0.0.1", "address of the diagnostics port", "host")
    api_http_port: int = _port(5681, "API over plain HTTP; never beyond loopback")
    api_https_port: int = _port(5682, "API over HTTPS; the one in the kubeconfig")
    advertised_hosts: tuple[str, ...] = _setting(
        (), "names and addresses by which this control plane is reached, for its certificate", "hosts"
    )
    xds_host: str = _setting("", "host told to agents for xDS; empty: the one they joined at", "host or none")
    trust_domain: str = _setting(
        "cluster.local", "trust domain of mesh `default`; cannot change once certificates are issued", "domain"
    )
    certificate_lifetime: timedelta = _setting(
        timedelta(hours=1), "of workload and control identities; at least `1m`, renewed at half", "lifetime"
    )
    disconnect_grace: timedelta = _setting(
        timedelta(seconds=10), "an agent away for longer than this: its endpoint is withdrawn", "duration"
    )
    absence_grace: timedelta = _setting(
        timedelta(minutes=5), "an agent away for longer than this: its registration is removed", "duration"
    )
    drain_bound: timedelta = _setting(
        timedelta(seconds=8), "at most this long a leaving workload waits for its peers", "duration"
    )
    join_rate: int = _setting(
        10, "requests a second that one address may keep up when joining; raise it where all tasks share one", "count"
    )
    join_burst: int = _setting(100, "requests that one address may make at once when joining, after a pause", "count")
    require_peer_address: bool = _setting(
        False, "refuse joins that do not come from the task's own address; not behind what hides addresses", "boolean"
    )
    loopback_is_admin: bool = _setting(
        False, "callers of the plain HTTP API on this machine are administrators", "boolean"
    )
    aws_endpoint_url: str = _setting("", "one endpoint for all AWS services, for an emulator; empty: AWS itself", "url")
    aws_regions: tuple[str, ...] = _setting((), "regions tasks may come from; empty: every region", "regions")
    aws_accounts: tuple[str, ...] = _setting(
        (), "accounts tasks may come from; empty: those that policies name", "accounts"
    )
    strict_role_trust: bool = _setting(
        True, "refuse roles that others than ecs-tasks.amazonaws.com may assume", "boolean"
    )
    jwt_issuers: str = _setting(
        "", "file that lists the issuers whose tokens let hosts join that are no ECS tasks; empty: none", "file or none"
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
        problem = f"cannot be read: {' '.join(str(error).split())}"
        raise BadSetting(str(file), problem, "a YAML file of `name: value`") from None
    if not isinstance(values, dict):
        raise BadSetting(str(file), "is not a mapping", "a YAML file of `name: value`")
    return {str(name): _as_written(value) for name, value in values.items()}


def _as_written(value: Any) -> str:
    """A value of a YAML file as the same setting's text elsewhere; `name:` alone is the empty text."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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


def _matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return read


def _list_of(read: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _read_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def _read_port(text: str) -> int:
    if text in ("off", "false"):  # YAML reads a bare `off` as false
        return OFF
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def _read_open_port(text: str) -> int:
    if text == "off":
        raise ValueError(text)
    return _read_port(text)


def _read_boolean(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _read_duration(text: str) -> timedelta:
    if (value := duration(text)) > LONGEST:
        raise ValueError(text)
    return value


def _read_lifetime(text: str) -> timedelta:
    if (value := _read_duration(text)) < SHORTEST:
        raise ValueError(text)
    return value


def _read_regions(text: str) -> tuple[str, ...]:
    regions = _list_of(str)(text)
    if regions:
        from outrig.attest.regions import known_regions  # AWS's table is large: read only where it is asked for

        known_regions(regions)
    return regions


_HOST = r"[A-Za-z0-9.:_-]+"
_DURATION = "a duration such as `90s`, `15m` or `1h30m`, ten years at most"
_FORMS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "path": (_read_path, "a path"),
    "file or none": (_matching(r"[^\0]*"), "the path of a file"),
    "port": (_read_port, "a port: 0 (any free one) to 65535, or `off`"),
    "open port": (_read_open_port, "a port: 0 (any free one) to 65535"),
    "count": (lambda text: int(_matching("[1-9][0-9]{0,8}")(text)), "a whole number, 1 or more"),
    "boolean": (_read_boolean, "`true` or `false`"),
    "duration": (_read_duration, _DURATION),
    "lifetime": (_read_lifetime, f"{_DURATION} and a minute at least"),
    "host": (_matching(_HOST), "a host's name or address"),
    "host or none": (_matching(f"({_HOST})?"), "a host's name or address"),
    "hosts": (_list_of(_matching(_HOST)), "a list of hosts' names and addresses, separated by commas"),
    "accounts": (_list_of(_matching(r"[0-9]{12}")), "a list of AWS account ids (12 digits), separated by commas"),
    "regions": (_read_regions, "a list of AWS regions, separated by commas"),
    "url": (_matching(r"(https?://[^\s/]+/?)?"), "an `http://` or `https://` URL without a path"),
    "domain": (
        _matching(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?"),
        "a trust domain: lower-case letters, digits, dots and dashes",
    ),
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


def xds_address(settings: Settings) -> str:
    """Where xDS is served."""
    return f"{in_brackets(settings.bind)}:{settings.xds_port}"


def in_brackets(host: str) -> str:
    """A host as it stands before a colon and a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def admission_settings(settings: Settings, *, xds_port: int) -> AdmissionSettings:
    """What the join needs to know. `xds_port`: the port in use."""
    return AdmissionSettings(
        xds_port,
        settings.xds_host,
        rate=float(settings.join_rate),
        burst=settings.join_burst,
        require_peer_address=settings.require_peer_address,
    )
