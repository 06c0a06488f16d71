"""Settings of Kuma and Kong Mesh, by their environment variables: which of ours each means, or why it means nothing.

In: the environment. Out: texts for our settings; and for each variable that is not honoured, the reason. Names and
meanings are those of Kuma 2.14 (`kuma-cp`) and of Kong Mesh's documentation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outrig.kit.spelling import slips

PREFIXES: Final = ("KUMA_", "KMESH_")
SLIPS: Final = 2
"""So many slips of a hand make an unknown name a known one that was misspelt."""
Translate = Callable[[str], str | None]
"""Their text as ours; None: it says what is so anyway."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a variable says: the text of one of our settings."""

    variable: str
    setting: str
    text: str


def _same(text: str) -> str:
    return text


def _or_default(text: str) -> str | None:
    return text or None


def _store(text: str) -> str:
    return "sqlite" if text == "memory" else text


def _seconds(text: str) -> str:
    return f"{text}s" if text.isdigit() else text


def _off_if_false(text: str) -> str | None:
    return "off" if text.lower() in ("false", "0") else None


STORE_TYPE: Final = "KUMA_STORE_TYPE"
MODE: Final = "KUMA_MODE"
MODES: Final = ("zone", "standalone")
"""The modes of Kuma's control plane that this one has. Kuma has given up the second: it is a zone without a global."""

_AUTHN: Final = "KUMA_DP_SERVER_AUTHN_"
_POSTGRES: Final = "KUMA_STORE_POSTGRES_"
EXPECTED: Final[Mapping[str, str]] = {STORE_TYPE: "`memory` or `postgres`"}
"""What a variable of theirs takes, where that is not what our setting takes."""

HONOURED: Final[Mapping[str, tuple[str, Translate]]] = {
    "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS": ("aws_accounts", _same),
    "KUMA_API_SERVER_AUTHN_LOCALHOST_IS_ADMIN": ("loopback_is_admin", _same),
    "KUMA_API_SERVER_AUTHN_TOKENS_BOOTSTRAP_ADMIN_TOKEN": ("admin_user_token", _same),
    "KUMA_API_SERVER_AUTHN_TOKENS_ENABLE_ISSUER": ("user_token_issuer", _same),
    "KUMA_API_SERVER_AUTHN_TOKENS_VALIDATOR_USE_SECRETS": ("user_token_secrets", _same),
    "KUMA_API_SERVER_HTTPS_INTERFACE": ("api_bind", _same),
    "KUMA_API_SERVER_HTTPS_PORT": ("api_https_port", _same),
    "KUMA_API_SERVER_HTTPS_ENABLED": ("api_https_port", _off_if_false),
    "KUMA_API_SERVER_HTTP_PORT": ("api_http_port", _same),
    "KUMA_API_SERVER_HTTP_ENABLED": ("api_http_port", _off_if_false),
    "KUMA_BOOTSTRAP_SERVER_PARAMS_XDS_HOST": ("xds_host", _same),
    "KUMA_DEFAULTS_SKIP_MESH_CREATION": ("skip_mesh_creation", _same),
    "KUMA_DIAGNOSTICS_SERVER_PORT": ("diagnostics_port", _same),
    f"{_AUTHN}DP_PROXY_TYPE": ("dp_authn", _or_default),
    f"{_AUTHN}DP_PROXY_DP_TOKEN_ENABLE_ISSUER": ("dp_token_issuer", _same),
    f"{_AUTHN}DP_PROXY_DP_TOKEN_VALIDATOR_USE_SECRETS": ("dp_token_secrets", _same),
    f"{_AUTHN}ZONE_PROXY_TYPE": ("zone_authn", _or_default),
    f"{_AUTHN}ZONE_PROXY_ZONE_TOKEN_ENABLE_ISSUER": ("zone_token_issuer", _same),
    f"{_AUTHN}ZONE_PROXY_ZONE_TOKEN_VALIDATOR_USE_SECRETS": ("zone_token_secrets", _same),
    "KUMA_DP_SERVER_PORT": ("agents_port", _same),
    "KUMA_GENERAL_TLS_CERT_FILE": ("tls_cert_file", _same),
    "KUMA_GENERAL_TLS_KEY_FILE": ("tls_key_file", _same),
    f"{_POSTGRES}CONNECTION_TIMEOUT": ("postgres_connection_timeout", _seconds),
    f"{_POSTGRES}DB_NAME": ("postgres_db_name", _same),
    f"{_POSTGRES}HOST": ("postgres_host", _same),
    f"{_POSTGRES}MAX_OPEN_CONNECTIONS": ("postgres_max_connections", _same),
    f"{_POSTGRES}PASSWORD": ("postgres_password", _same),
    f"{_POSTGRES}PORT": ("postgres_port", _same),
    f"{_POSTGRES}TLS_CA_PATH": ("postgres_tls_ca_path", _same),
    f"{_POSTGRES}TLS_CERT_PATH": ("postgres_tls_cert_path", _same),
    f"{_POSTGRES}TLS_KEY_PATH": ("postgres_tls_key_path", _same),
    f"{_POSTGRES}TLS_MODE": ("postgres_tls_mode", _same),
    f"{_POSTGRES}TLS_ROOT_CERT_PATH": ("postgres_tls_ca_path", _same),
    f"{_POSTGRES}USER": ("postgres_user", _same),
    STORE_TYPE: ("store_type", _store),
    "KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY": ("dataplane_deregistration_delay", _same),
}
"""Their variables -> our setting, and how their text becomes ours. Of two that mean one setting the later here wins."""

_THEIR_DATABASE: Final[Mapping[str, str]] = {
    "postgres_port": "15432",
    "postgres_user": "kuma",
    "postgres_password": "kuma",
    "postgres_db_name": "kuma",
}
"""Kuma's defaults, for whoever chooses the database by Kuma's variable and leaves the rest out."""

_ONE_ZONE: Final = "there is one control plane, of one zone"
_NO_NAMES: Final = "no names or virtual addresses are made: services are called by outbounds"
_NEVER_POLLS: Final = "changes are pushed: nothing is polled, and nothing is cached for a time"
IGNORED: Final[Mapping[str, str]] = {
    "KMESH_LICENSE_": "no licence is needed",
    "KMESH_MULTIZONE_": _ONE_ZONE,
    "KMESH_RUNTIME_AWS_ROUTE53_": _NO_NAMES,
    "KUMA_ACCESS_": "roles say who may do what: ClusterRole and ClusterRoleBinding",
    "KUMA_API_SERVER_AUTHN_TYPE": "user tokens and client certificates are both taken",
    "KUMA_API_SERVER_AUTH_CLIENT_CERTS_": "client certificates of the API are those of the kubeconfig",
    "KUMA_API_SERVER_AUTH_": "it is not used in Kuma either",
    "KUMA_API_SERVER_CORS_": "there is no GUI, so no other origin calls the API",
    "KUMA_API_SERVER_GUI_": "there is no GUI",
    "KUMA_API_SERVER_HTTPS_": "the API's certificate is that of KUMA_GENERAL_TLS_CERT_FILE",
    "KUMA_API_SERVER_HTTP_INTERFACE": "plain HTTP stays on 127.0.0.1",
    "KUMA_BOOTSTRAP_SERVER_": "agents make their Envoy's bootstrap themselves",
    "KUMA_CONTROL_PLANE_": "it is a setting of the data plane's agent",
    "KUMA_DATAPLANE_": "it is a setting of the data plane's agent",
    "KUMA_DEFAULTS_": "no routing resources, policies or names are made at the start",
    "KUMA_DIAGNOSTICS_": "diagnostics are plain HTTP",
    "KUMA_DNS_": _NO_NAMES,
    "KUMA_DP_SERVER_AUTHN_ENABLE_RELOADABLE_TOKENS": "agents always read their token's file anew",
    "KUMA_DP_SERVER_AUTHN_": "it does not exist outside of Kubernetes, or is read from OUTRIG_TOKEN_PUBLIC_KEYS",
    "KUMA_DP_SERVER_HDS_": "agents probe their applications themselves",
    "KUMA_DP_SERVER_TLS_": "the certificate is that of KUMA_GENERAL_TLS_CERT_FILE; TLS 1.3 is the only version",
    "KUMA_DP_SERVER_": "there is no such limit here",
    "KUMA_ENVIRONMENT": "there is one environment, which Kuma calls universal",
    "KUMA_EVENT_BUS_": _NEVER_POLLS,
    "KUMA_EXPERIMENTAL_": "nothing here is experimental",
    "KUMA_GENERAL_DNS_CACHE_TTL": "addresses of Dataplanes are IP addresses",
    "KUMA_GENERAL_TLS_": "TLS 1.3 is the only version",
    "KUMA_GENERAL_": "it has no counterpart here",
    "KUMA_INTER_CP_": "replicas meet in the database",
    "KUMA_IPAM_": _NO_NAMES,
    "KUMA_METRICS_": "nothing is kept of past connections but the last one",
    MODE: _ONE_ZONE,
    "KUMA_MONITORING_ASSIGNMENT_SERVER_": "there is no discovery for Prometheus",
    "KUMA_MULTIZONE_": _ONE_ZONE,
    "KUMA_PLUGIN_POLICIES_": "the policies that are supported are always on",
    "KUMA_POLICIES_": "the policies that are supported are always on",
    "KUMA_PROXY_": "gateways of type BUILTIN are not supported yet",
    "KUMA_REPORTS_": "nothing is reported to anybody",
    "KUMA_RUNTIME_KUBERNETES_": "there is no Kubernetes",
    "KUMA_RUNTIME_": "what an agent leaves behind goes with the deregistration delay; there are no virtual addresses",
    "KUMA_STORE_CACHE_": _NEVER_POLLS,
    "KUMA_STORE_KUBERNETES_": "there is no Kubernetes",
    "KUMA_STORE_POSTGRES_": "there is one pool of connections, to one server",
    "KUMA_STORE_POSTGRES_MIN_OPEN_CONNECTIONS": "connections are made when they are needed",
    "KUMA_STORE_UNSAFE_DELETE": "a mesh with members is never deleted",
    "KUMA_STORE_": "a write that conflicts is tried again by itself",
    "KUMA_TRACING_": "traces are not sent yet",
    "KUMA_XDS_": _NEVER_POLLS,
}
"""Their variables, or what they begin with -> why they are not honoured. The longest beginning counts."""


def translated(environment: Mapping[str, str]) -> Iterator[Given]:
    """What their variables say of our settings, each that is set; later ones win."""
    if environment.get(STORE_TYPE) == "postgres":
        for setting, default in _THEIR_DATABASE.items():
            yield Given(STORE_TYPE, setting, default)
    for variable, (setting, translate) in HONOURED.items():
        if variable in environment and (text := translate(environment[variable])) is not None:
            yield Given(variable, setting, text)


def not_honoured(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Their variables that are set and mean nothing here, in the order of their names, each with the reason."""
    for variable in sorted(environment):
        if variable.startswith(PREFIXES) and variable not in HONOURED:
            yield variable, reason_of(variable, lambda beginning: beginning)


def reason_of(name: str, spelt: Callable[[str], str]) -> str:
    """Why a setting of theirs is not honoured. `spelt`: how a variable is spelt where `name` is from."""
    if meant := misspelt(name, spelt):
        return f"did you mean {meant}?"
    known = [beginning for beginning in IGNORED if name.startswith(spelt(beginning))]
    return IGNORED[max(known, key=len)] if known else "no such setting of Kuma or Kong Mesh is known"


def misspelt(name: str, spelt: Callable[[str], str]) -> str:
    """The variable that counts here and that a name was probably meant to be; empty if there is none."""
    if name in map(spelt, IGNORED):
        return ""
    near = {
        variable: slips(name, spelt(variable))
        for variable in HONOURED
        if abs(len(name) - len(spelt(variable))) <= SLIPS
    }
    nearest = min(near, key=near.__getitem__, default="")
    return nearest if nearest and near[nearest] <= SLIPS else ""


def decides_access(variable: str) -> bool:
    """Whether a variable of theirs says who is let in, and how that is proven."""
    return "AUTHN" in variable or variable.endswith("AUTHORIZEDACCOUNTIDS")
