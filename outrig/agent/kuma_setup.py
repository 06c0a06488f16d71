"""What `kuma-dp run` is told, as a `Setup`: where to join, as which Dataplane, and how to prove it.

In: the options as given, and the environment. Out: one frozen `Setup`. Refuses (`InvalidConfiguration`, `NotInTask`)
whatever is missing or wrong, before anything starts. Files are read here, once; a token's again for each join.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from outrig.agent import health_check
from outrig.agent.configuration import Endpoint, Output, is_host, read_roots
from outrig.agent.dataplane import DATAPLANE, DEFAULT_MESH, KINDS, ProxySeat, read_dataplane
from outrig.agent.durations import seconds_of
from outrig.agent.identity import check_token, read_token
from outrig.agent.kuma_options import Told, Value
from outrig.agent.problems import InvalidConfiguration, TokenUnreadable
from outrig.agent.setup import DRAIN_SECONDS, ENVOY_LEVELS, LEVELS, LINK_LOCAL, DataplaneToken, Setup, read_task_address
from outrig.agent.template import fill
from outrig.wire.join import DataplaneJoin

DEFAULT_ADDRESS: Final = "https://localhost:5678"
LONGEST_DRAIN: Final = 3600.0  # seconds


def read_kuma_setup(told: Told, environment: Mapping[str, str], link_local: str = LINK_LOCAL) -> Setup:
    """The whole of what the agent is told. `link_local` is another than ECS's only in tests.

    Raises InvalidConfiguration or NotInTask.
    """
    endpoint = _endpoint(told)
    join = _join(told)
    by_role = _by_role(told)
    return Setup(
        seat=ProxySeat(endpoint, join),
        output=Output(),
        roots=_roots(told, needed=endpoint.verify),
        task=read_task_address(environment, link_local) if by_role else None,
        token=None if by_role else _token(told),
        directory=told["work-dir"].text or _directory(join),
        envoy=_binary(told["binary-path"].text),
        concurrency=_whole(told["concurrency"], 0, most=1024),
        drain_seconds=_seconds(told["drain-time"]),
        readiness_port=_whole(told["readiness-port"], health_check.PORT, most=65535),
        log_level="error" if told["log-level"].text == "off" else _word(told["log-level"], LEVELS, "info"),
        envoy_log_level=_word(told["envoy-log-level"], ENVOY_LEVELS, "warning"),
        notices=(*told.notices, *_unproven(told)),
    )


def _endpoint(told: Told) -> Endpoint:
    given = told["cp-address"]
    try:
        url = urlsplit(given.text or DEFAULT_ADDRESS)
        host, port = url.hostname, url.port or 443
    except ValueError:
        raise _bad_address(given) from None
    if url.scheme != "https" or not host or not is_host(host) or url.path not in ("", "/") or url.query or url.username:
        raise _bad_address(given)
    return Endpoint(host, port, verify=not told["skip-verify"].text)


def _bad_address(given: Value) -> InvalidConfiguration:
    hint = "a proof of identity never travels without TLS" if given.text.startswith("http:") else ""
    return InvalidConfiguration(given.source, f"expected https://HOST:PORT, got {given.text!r}", hint)


def _join(told: Told) -> DataplaneJoin:
    proxy_type = _word(told["proxy-type"], tuple(KINDS), DATAPLANE)
    source, text = _resource(told)
    if not source:
        return _made_before(told, proxy_type)
    for name in ("name", "mesh"):
        if told[name].text:
            raise InvalidConfiguration(told[name].source, "given together with a Dataplane, which has it already")
    return read_dataplane(source, fill(source, text, told.variables), proxy_type)


def _made_before(told: Told, proxy_type: str) -> DataplaneJoin:
    """One whose text the control plane has."""
    if proxy_type != DATAPLANE:
        raise InvalidConfiguration("--dataplane-file", f"not set, and a proxy of type {proxy_type} needs its text")
    if not told["name"].text:
        hint = "set it to the text of a Dataplane, or give --dataplane-file FILE, or --name of one that was applied"
        raise InvalidConfiguration("KUMA_DATAPLANE_RUNTIME_RESOURCE", "not set", hint)
    if told.variables:
        raise InvalidConfiguration("--dataplane-var", "there is no template to fill in")
    return DataplaneJoin(mesh=told["mesh"].text or DEFAULT_MESH, name=told["name"].text)


def _resource(told: Told) -> tuple[str, str]:
    """Where the text comes from, and the text; a file before a text, as in Kuma. Both empty: there is none."""
    file, text = told["dataplane-file"], told["dataplane"]
    if not file.text:
        return text.source, text.text
    if file.text == "-":
        return "standard input", _read("/dev/stdin")
    return file.text, _read(file.text)


def _by_role(told: Told) -> bool:
    given = told["auth-type"]
    if given.text and given.text != "aws":
        raise InvalidConfiguration(given.source, f"expected aws, got {given.text!r}", "a token needs no --auth-type")
    tokens = [told[name].source for name in ("dataplane-token", "dataplane-token-file") if told[name].text]
    if given.text and tokens:
        raise InvalidConfiguration(given.source, f"given together with {tokens[0]}", "one proof is enough: remove one")
    return bool(given.text)


def _token(told: Told) -> DataplaneToken:
    """A text before a file, as in Kuma. Both are tried once here, so that nobody waits for what cannot come."""
    text, file = told["dataplane-token"], told["dataplane-token-file"]
    try:
        if text.text:
            return DataplaneToken(text=check_token(text.source, text.text))
        if file.text:
            read_token(file.text)
    except TokenUnreadable as error:
        raise InvalidConfiguration(error.place, error.problem, error.hint) from None
    return DataplaneToken(file=file.text)


def _unproven(told: Told) -> Iterator[str]:
    if not any(told[name].text for name in ("auth-type", "dataplane-token", "dataplane-token-file")):
        yield "neither a token nor --auth-type=aws was given: joining without a proof, which a control plane may refuse"


def _roots(told: Told, *, needed: bool) -> str:
    """A text before a file, as in Kuma."""
    text, file = told["ca-cert"], told["ca-cert-file"]
    if text.text:
        return read_roots(text.source, text.text, flag="--ca-cert-file")
    if file.text:
        return read_roots(file.text, _read(file.text), flag="--ca-cert-file")
    if needed:
        hint = (
            "set it to the PEM text of the CA that signed the control plane's certificate, or give --ca-cert-file FILE"
        )
        raise InvalidConfiguration("KUMA_CONTROL_PLANE_CA_CERT", "not set", hint)
    return ""


def _directory(join: DataplaneJoin) -> str:
    """One for each proxy that a user of a machine runs. The same again finds its key, which it joined with."""
    name = hashlib.sha256(f"{join.proxy_type}/{join.mesh}/{join.name}".encode()).hexdigest()[:12]
    return str(Path(tempfile.gettempdir(), f"kuma-dp-{os.geteuid()}-{name}"))


def _binary(path: str) -> str:
    """Absolute, since Envoy runs elsewhere. Kuma's default, the bare word, is what is looked for anyway."""
    return str(Path(shutil.which(path) or path).absolute()) if path not in ("", "envoy") else ""


def _seconds(given: Value) -> float:
    if not given.text:
        return DRAIN_SECONDS
    found = seconds_of(given.text)
    if found is None or found > LONGEST_DRAIN:
        raise InvalidConfiguration(given.source, f"expected a duration such as 20s, at most 1h, got {given.text!r}")
    return found


def _whole(given: Value, default: int, *, most: int) -> int:
    if not given.text:
        return default
    if not (given.text.isascii() and given.text.isdecimal()) or int(given.text[:9]) > most:
        raise InvalidConfiguration(given.source, f"expected a whole number from 0 to {most}, got {given.text!r}")
    return int(given.text)


def _word(given: Value, allowed: tuple[str, ...], default: str) -> str:
    word = given.text.lower() or default
    if word not in allowed:
        raise InvalidConfiguration(given.source, f"expected one of {', '.join(allowed)}, got {given.text!r}")
    return word


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InvalidConfiguration(file, f"cannot be read: {error}") from None
