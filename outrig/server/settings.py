"""The settings of the control plane: what they are, and where a value comes from.

Defaults < file (`--config`, YAML) < file of Kuma (`--config-file`) < environment (`KUMA_*` and `KMESH_*`, as far as
they mean something here) < environment (`OUTRIG_*`) < `--set NAME=VALUE`. A wrong value is refused with its source, the
value and what was expected; an unknown name in the file or on the command line is refused too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from outrig.admission.settings import AWS_IAM, DP_TOKEN, ZONE_TOKEN, AdmissionSettings
from outrig.attest.settings import AttestSettings
from outrig.ca.settings import CaSettings
from outrig.errors import OutrigError, did_you_mean
from outrig.kit.documents import document_in
from outrig.kit.durations import in_words
from outrig.server.foreign import EXPECTED, translated
from outrig.server.forms import FORMS, OFF, POSTGRES, SQLITE, Hidden
from outrig.store.settings import PostgresSettings, TlsMode

PREFIX = "OUTRIG_"


class BadSetting(OutrigError):
    """A setting's value or name is wrong."""

    code = "OUT001"


def unknown_proof(place: str, meant: str) -> BadSetting:
    """What looks like a variable that decides who is let in, and is none."""
    hint = f"did you mean {meant}? else take it away from here"
    return BadSetting(place, "is no setting, and seems to be meant for one that decides who is let in", hint)


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
    api_reads_at_once: int = _setting(
        200, "requests that read, of one caller of the API at once; the rest get 429", "count"
    )
    api_writes_at_once: int = _setting(
        100, "requests that write, of one caller of the API at once; the rest get 429", "count"
    )
    audit_log: str = _setting(
        "", "file of the audit log; empty: `audit.log` in the data directory; `-`: standard output", "file or none"
    )
    log_level: str = _setting(
        "info", "`debug`: also a line for every answer of the API; `info`, `warning`, `error`: less and less", "level"
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
    store_type: str = _setting(
        SQLITE, "`sqlite`: a file in the data directory; `postgres`: a database", "one of stores"
    )
    postgres_host: str = _setting("127.0.0.1", "name or address of the database", "host")
    postgres_port: int = _setting(5432, "port of the database", "open port")
    postgres_user: str = _setting("outrig", "user of the database", "word")
    postgres_password: str = _setting(Hidden(), "password of that user; never shown", "secret")
    postgres_db_name: str = _setting("outrig", "name of the database", "word")
    postgres_tls_mode: str = _setting(
        str(TlsMode.DISABLE),
        "TLS towards the database: `disable`, `verifyNone`, `verifyCa` or `verifyFull`",
        "tls mode",
    )
    postgres_tls_ca_path: str = _setting("", "file of the CA certificates that vouch for it", "file or none")
    postgres_tls_cert_path: str = _setting("", "file of a client certificate for it", "file or none")
    postgres_tls_key_path: str = _setting("", "file of that certificate's key", "file or none")
    postgres_max_connections: int = _setting(10, "connections to it at a time, at most", "connections")
    postgres_connection_timeout: timedelta = _setting(
        timedelta(seconds=5), "at most this long a connection to it may take to open", "duration"
    )
    tls_cert_file: str = _setting(
        "", "certificate (PEM) of the agents' ports and of the API, in place of one made here", "file or none"
    )
    tls_key_file: str = _setting("", "key (PEM) of that certificate", "file or none")
    dp_authn: tuple[str, ...] = _setting(
        (DP_TOKEN,),
        "proofs that data planes may bring: `aws-iam`, `dpToken`; `none` asks for none",
        "data plane proofs",
    )
    zone_authn: tuple[str, ...] = _setting(
        (ZONE_TOKEN,), "proofs that zone proxies may bring: `aws-iam`, `zoneToken`; `none`", "zone proxy proofs"
    )
    dp_token_issuer: bool = _setting(True, "issue data plane tokens", "boolean")
    zone_token_issuer: bool = _setting(True, "issue zone tokens", "boolean")
    user_token_issuer: bool = _setting(True, "issue user tokens", "boolean")
    dp_token_secrets: bool = _setting(True, "verify data plane tokens with the signing keys in the store", "boolean")
    zone_token_secrets: bool = _setting(True, "verify zone tokens with the signing keys in the store", "boolean")
    user_token_secrets: bool = _setting(True, "verify user tokens with the signing keys in the store", "boolean")
    token_public_keys: str = _setting(
        "", "file that lists public keys of tokens that are issued elsewhere; empty: none", "file or none"
    )
    admin_user_token: bool = _setting(
        True, "make the GlobalSecret `admin-user-token` at the first start, as Kuma does", "boolean"
    )
    skip_mesh_creation: bool = _setting(False, "do not make the mesh `default` at the first start", "boolean")
    dataplane_deregistration_delay: timedelta = _setting(
        timedelta(seconds=10),
        "an agent away for longer than this: the Dataplane that it brought is removed",
        "duration",
    )


def load_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, str],
    places: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """The settings of all sources. `places`: of variables whose text is written elsewhere. Raises BadSetting."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, text in _read_file(file).items():
        values[name] = _parse(f"{file}: {name}", name, text)
    for given in translated(environment):
        place = places.get(given.variable, f"environment: {given.variable}")
        values[given.setting] = _parse(place, given.setting, given.text, expected=EXPECTED.get(given.variable, ""))
        sources[given.setting] = place
    for name, text in _from_environment(environment).items():
        values[name] = _parse(f"environment: {PREFIX}{name.upper()}", name, text)
    for name, text in flags.items():
        values[name] = _parse(f"--set: {name}", name, text)
    settings = Settings(**values)
    _check(settings, sources)
    return replace(settings, data_dir=settings.data_dir.expanduser().absolute())


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """Settings that need each other. `sources`: of those that a variable of Kuma's has set."""
    if AWS_IAM in (*settings.dp_authn, *settings.zone_authn) and not settings.aws_accounts:
        problem = f"{AWS_IAM} lets in roles by their tags, and no account is authorised"
        raise BadSetting("aws_accounts", problem, "set KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS or OUTRIG_AWS_ACCOUNTS")
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        given, other = ("cert", "key") if settings.tls_cert_file else ("key", "cert")
        place, missing = sources.get(f"tls_{given}_file", f"tls_{given}_file"), f"TLS_{other.upper()}_FILE"
        raise BadSetting(place, f"is set without {missing}", f"set KUMA_GENERAL_{missing} or {PREFIX}{missing} too")


def as_text(value: Any) -> str:
    """A setting's value as it would be written, but for what is not to be shown."""
    if isinstance(value, Hidden):
        return "(hidden)" if value else ""
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
    values = read_mapping(file, "a YAML file of `name: value`") if file else {}
    return {str(name): as_written(value, f"{file}: {name}", str(name)) for name, value in values.items()}


def read_mapping(file: Path, expected: str) -> Mapping[Any, Any]:
    """What a YAML file holds. `expected`: what to say that it should be. Raises BadSetting."""
    try:
        values = document_in(file.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        problem = f"cannot be read: {' '.join(str(error).split())}"
        raise BadSetting(str(file), problem, expected) from None
    if not isinstance(values, dict):
        raise BadSetting(str(file), "is not a mapping", expected)
    return values


def as_written(value: Any, place: str, name: str) -> str:
    """A value of a YAML file as that setting's text elsewhere; `name:` alone is the empty text. Raises BadSetting."""
    default = {known.name: known.default for known in fields(Settings)}.get(name)
    if isinstance(value, dict) or (isinstance(value, list) and not isinstance(default, tuple)):
        raise BadSetting(place, f"is {'a list' if isinstance(value, list) else 'an object'}", "one value is expected")
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _parse(place: str, name: str, text: str, *, expected: str = "") -> Any:
    """The value of a text. `expected`: what to say that it should be, in place of what its form says."""
    forms = {f.name: f.metadata["form"] for f in fields(Settings)}
    if name not in forms:
        raise BadSetting(place, "there is no such setting", did_you_mean(name, forms))
    read, form = FORMS[forms[name]]
    try:
        return read(text)
    except ValueError:
        said = "what it is set to" if read is Hidden else repr(text)
        raise BadSetting(place, f"{said} is not {expected or form}") from None


def ca_settings(settings: Settings) -> CaSettings:
    """What the authorities need to know."""
    return CaSettings(
        workload_lifetime=settings.certificate_lifetime,
        control_lifetime=settings.certificate_lifetime,
        trust_domain=settings.trust_domain,
    )


def attest_settings(settings: Settings) -> AttestSettings:
    """What attestation needs to know."""
    return AttestSettings(
        accounts=settings.aws_accounts,
        regions=settings.aws_regions,
        strict_trust=settings.strict_role_trust,
        aws_endpoint_url=settings.aws_endpoint_url,
    )


def postgres_settings(settings: Settings) -> PostgresSettings | None:
    """How the database is reached; None: the store is a file."""
    if settings.store_type != POSTGRES:
        return None
    return PostgresSettings(
        host=settings.postgres_host,
        port=settings.postgres_port,
        user=settings.postgres_user,
        password=str(settings.postgres_password),
        database=settings.postgres_db_name,
        tls_mode=TlsMode(settings.postgres_tls_mode),
        tls_ca=_path(settings.postgres_tls_ca_path),
        tls_cert=_path(settings.postgres_tls_cert_path),
        tls_key=_path(settings.postgres_tls_key_path),
        max_connections=settings.postgres_max_connections,
        connection_timeout=settings.postgres_connection_timeout.total_seconds(),
    )


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


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
        dataplane_proofs=frozenset(settings.dp_authn),
        zone_proofs=frozenset(settings.zone_authn),
    )
