"""The flags and variables of `kuma-dp run`: those that count here, and what becomes of the others.

In: the command line and the environment. Out: `Told`, which has each value with its source, flags before variables, and
a notice for everything given that has no effect. Refused: flags that nobody knows, and what cannot be ignored without
breaking somebody's task. Source: Kuma 2.14, `kuma-dp run --help` and its configuration.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from outrig.agent.problems import InvalidConfiguration
from outrig.agent.template import read_variables
from outrig.errors import did_you_mean

_RUNTIME: Final = "KUMA_DATAPLANE_RUNTIME_"
_DNS: Final = "no names are served in a task: those of services come from its VPC's resolver"
_REDIRECT: Final = "nothing redirects a task's traffic: list the services it calls as outbounds of its Dataplane"
_LOGS: Final = "the log goes to standard error, and is the container runtime's to keep"


@dataclass(frozen=True, slots=True)
class Option:
    """A value that counts. `variable` empty: there is only the flag; `help` empty: only the variable."""

    name: str
    variable: str
    help: str = ""
    switch: bool = False


OPTIONS: Final = (
    Option("cp-address", "KUMA_CONTROL_PLANE_URL", "the control plane's URL"),
    Option("ca-cert", "KUMA_CONTROL_PLANE_CA_CERT"),
    Option("ca-cert-file", "KUMA_CONTROL_PLANE_CA_CERT_FILE", "who vouches for the control plane, PEM"),
    Option("skip-verify", "KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY", "believe whoever answers there", switch=True),
    Option("dataplane", f"{_RUNTIME}RESOURCE", "the Dataplane's text, a template"),
    Option("dataplane-file", f"{_RUNTIME}RESOURCE_PATH", "file with it, - for standard input"),
    Option("dataplane-token", f"{_RUNTIME}TOKEN", "the token that proves who this is"),
    Option("dataplane-token-file", f"{_RUNTIME}TOKEN_PATH", "file with it, read anew for each join"),
    Option("auth-type", "", "aws: prove it by the task's role"),
    Option("name", "KUMA_DATAPLANE_NAME", "of a Dataplane that the control plane has already"),
    Option("mesh", "KUMA_DATAPLANE_MESH", "of it; `default` if not given"),
    Option("proxy-type", "KUMA_DATAPLANE_PROXY_TYPE", "dataplane, ingress or egress"),
    Option("drain-time", "KUMA_DATAPLANE_DRAIN_TIME", "bound of a stop, such as 20s"),
    Option("binary-path", f"{_RUNTIME}BINARY_PATH", "the Envoy binary"),
    Option("concurrency", f"{_RUNTIME}CONCURRENCY", "Envoy's worker threads"),
    Option("work-dir", f"{_RUNTIME}WORK_DIR", "for keys and sockets"),
    Option("envoy-log-level", f"{_RUNTIME}ENVOY_LOG_LEVEL", "Envoy's own log level"),
    Option("log-level", "", "off, error, warning, info or debug"),
    Option("readiness-port", "KUMA_READINESS_PORT"),
    Option("bind-outbounds", f"{_RUNTIME}BIND_OUTBOUNDS", "not supported yet", switch=True),
    Option("transparent-proxy", "", "not supported", switch=True),
    Option("transparent-proxy-config", "", "not supported"),
    Option("config-file", "", "not supported: use flags and variables"),
)

REFUSED: Final = MappingProxyType(
    {
        "bind-outbounds": ("not supported yet", "list the services it calls as outbounds of its Dataplane"),
        "transparent-proxy": ("not supported", _REDIRECT),
        "transparent-proxy-config": ("not supported", _REDIRECT),
        "config-file": ("not supported", "give flags or variables"),
    }
)
"""What nobody may lean on, with the reason."""

IDLE_FLAGS: Final = MappingProxyType(
    {
        "dns-enabled": _DNS,
        "dns-coredns-path": _DNS,
        "dns-coredns-port": _DNS,
        "dns-coredns-config-template-path": _DNS,
        "dns-envoy-port": _DNS,
        "dns-server-config-dir": _DNS,
        "dns-prometheus-port": _DNS,
        "dns-enable-logging": _DNS,
        "dns-proxy-port": _DNS,
        "admin-port": "Envoy's admin interface is a unix socket in the work directory",
        "envoy-component-log-level": "Envoy has one log level, --envoy-log-level",
        "metrics-cert-path": "the agent serves no metrics",
        "metrics-key-path": "the agent serves no metrics",
        "log-output-path": _LOGS,
        "log-max-age": _LOGS,
        "log-max-retained-files": _LOGS,
        "log-max-size": _LOGS,
    }
)
"""Flags that change nothing, with the reason. They may have a value."""

IDLE_VARIABLES: Final = MappingProxyType(
    {
        "KUMA_DNS_": _DNS,
        "KUMA_DATAPLANE_ADMIN_PORT": IDLE_FLAGS["admin-port"],
        "KUMA_CONTROL_PLANE_RETRY_": "a join that fails is tried again for ever, up to 15 s apart",
        f"{_RUNTIME}ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT": "configuration always comes by delta xDS",
        f"{_RUNTIME}ENVOY_COMPONENT_LOG_LEVEL": IDLE_FLAGS["envoy-component-log-level"],
        f"{_RUNTIME}METRICS_": IDLE_FLAGS["metrics-cert-path"],
        f"{_RUNTIME}SOCKET_DIR": "sockets are in the work directory",
        f"{_RUNTIME}DYNAMIC_": "nothing is asked for at intervals: changes come as they happen",
    }
)
"""The same for variables, by how their names begin."""

_SHORT: Final = MappingProxyType({"dataplane-file": "-d", "dataplane-var": "-v", "config-file": "-c"})
_FAMILIES: Final = ("KUMA_DATAPLANE_", "KUMA_CONTROL_PLANE_", "KUMA_DNS_", "KUMA_READINESS_", "KUMA_APPLICATION_")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it comes from. Both empty: it was not given."""

    source: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What was given. `notices`: a line for each thing that has no effect."""

    values: Mapping[str, Value]
    variables: Mapping[str, str]
    notices: tuple[str, ...]

    def __getitem__(self, name: str) -> Value:
        return self.values.get(name, Value())


def read_options(arguments: list[str], environment: Mapping[str, str]) -> Told:
    """What the command line after `run` and the environment give. Raises InvalidConfiguration; `--help` ends."""
    known, rest = _parser().parse_known_args(arguments)
    if rest:  # its value is not shown: it may be a secret
        flags = [f"--{name}" for name in (*(option.name for option in OPTIONS if option.help), "dataplane-var")]
        hint = did_you_mean(rest[0].partition("=")[0], flags)
        raise InvalidConfiguration(rest[0].partition("=")[0], "unknown flag", hint)
    given = vars(known)
    values = {option.name: found for option in OPTIONS if (found := _value(option, given, environment)).text}
    for name, (problem, hint) in REFUSED.items():
        if name in values:
            raise InvalidConfiguration(values[name].source, problem, hint)
    notices = (*_idle_flags(given), *_idle_variables(environment))
    return Told(values, read_variables(given["dataplane-var"]), notices)


def _value(option: Option, given: Mapping[str, str | None], environment: Mapping[str, str]) -> Value:
    flag = given.get(option.name)
    variable = Value(option.variable, environment.get(option.variable, ""))
    found = variable if flag is None else Value(f"--{option.name}", flag)
    return _switched(found) if option.switch else found


def _switched(found: Value) -> Value:
    """A switch that is off was not given. Raises InvalidConfiguration."""
    word = found.text.lower()
    if word not in ("true", "1", "t", "false", "0", "f", ""):
        raise InvalidConfiguration(found.source, f"expected true or false, got {found.text!r}")
    return Value(found.source, "true") if word in ("true", "1", "t") else Value()


def _idle_flags(given: Mapping[str, str | None]) -> Iterator[str]:
    for name, reason in IDLE_FLAGS.items():
        if given.get(name) is not None and not (name == "dns-enabled" and given[name] == "false"):
            yield f"--{name} has no effect: {reason}"


def _idle_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = {option.variable for option in OPTIONS if option.variable}
    for name in sorted(environment.keys() - known):
        reason = next((why for start, why in IDLE_VARIABLES.items() if name.startswith(start)), "")
        if reason and not (name == "KUMA_DNS_ENABLED" and environment[name] == "false"):
            yield f"{name} has no effect: {reason}"
        elif not reason and name.startswith(_FAMILIES):
            yield f"{name} has no effect: unknown variable ({did_you_mean(name, known)})"


class _Parser(argparse.ArgumentParser):
    """Reports what is wrong as everything else here is reported."""

    def error(self, message: str) -> NoReturn:
        raise InvalidConfiguration("kuma-dp run", message, "kuma-dp run --help lists the flags")


def _parser() -> _Parser:
    parser = _Parser(prog="kuma-dp run", description="Join a mesh as a data plane and run Envoy.", allow_abbrev=False)
    for option in OPTIONS:
        if option.help:
            _add(parser, option.name, switch=option.switch, text=_help(option))
    for name in IDLE_FLAGS:
        _add(parser, name, switch=True, text=argparse.SUPPRESS)
    parser.add_argument(
        *_flags("dataplane-var"),
        dest="dataplane-var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value for the template, repeatable",
    )
    return parser


def _add(parser: _Parser, name: str, *, switch: bool, text: str) -> None:
    if switch:  # as in Kuma, `--name` alone is true
        parser.add_argument(*_flags(name), dest=name, nargs="?", const="true", metavar="true|false", help=text)
    else:
        parser.add_argument(*_flags(name), dest=name, metavar="VALUE", help=text)


def _flags(name: str) -> list[str]:
    return [f"--{name}", *([_SHORT[name]] if name in _SHORT else [])]


def _help(option: Option) -> str:
    return f"{option.help} ({option.variable})" if option.variable else option.help
