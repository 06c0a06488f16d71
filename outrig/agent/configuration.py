"""The user's configuration of an agent: where to join, as what, and where Envoy's output goes.

In: the text of an `OnboardingConfiguration` and, optionally, of an `AgentConfiguration`, each with the name of its
source, and the roots that vouch for the control plane. Out: frozen dataclasses. Refuses unknown fields, wrong types
and a connection without TLS. Source: the onboarding guide's `config.agent.onboarding.tetrate.io/v1alpha1`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509

from outrig.agent.document import Fields, reading
from outrig.agent.problems import InvalidConfiguration

API_VERSION = "config.agent.onboarding.tetrate.io/v1alpha1"
DEFAULT_PORT = 15443


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the control plane takes joins. `sni`: the name its certificate must carry. `verify`: off only in tests."""

    host: str
    port: int = DEFAULT_PORT
    sni: str = ""
    verify: bool = True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What to join, and as what. `labels` add to the group's. `connected_over`: VPC or INTERNET."""

    endpoint: Endpoint
    namespace: str
    workload_group: str
    labels: Mapping[str, str] = field(default_factory=dict)
    connected_over: str = "VPC"

    @property
    def routed(self) -> bool:
        """Whether it takes part in traffic."""
        return True

    def __str__(self) -> str:
        return f"{self.namespace}/{self.workload_group}"


@dataclass(frozen=True, slots=True)
class Output:
    """Files for Envoy's standard output and error; empty: the agent's own."""

    stdout: str = ""
    stderr: str = ""


def read_onboarding(source: str, text: str) -> Onboarding:
    """The `OnboardingConfiguration` in a text. Raises InvalidConfiguration."""
    with reading(source, text, api_version=API_VERSION, kind="OnboardingConfiguration") as fields:
        if not fields.has("onboardingEndpoint"):
            raise fields.wrong("onboardingEndpoint", "required field is missing")
        with fields.within("onboardingEndpoint") as at:
            endpoint = _endpoint(at)
        with fields.within("workloadGroup") as group:
            namespace, name = group.text("namespace"), group.text("name")
        with fields.within("workload") as workload:
            labels = workload.texts("labels")
        with fields.within("settings") as settings:
            over = settings.variant("connectedOver", ("VPC", "INTERNET"))
    return Onboarding(endpoint, namespace, name, labels=labels, connected_over=over)


def read_agent(source: str, text: str) -> Output:
    """The `AgentConfiguration` in a text. Raises InvalidConfiguration.

    `host` and `sidecar.istio.revision` are accepted and change nothing: this agent never configures its host.
    """
    with reading(source, text, api_version=API_VERSION, kind="AgentConfiguration") as fields:
        fields.variant("host", ("auto", "custom"))
        with fields.within("sidecar") as sidecar:
            with sidecar.within("istio") as istio:
                istio.text("revision", "")
            return Output(stdout=_file(sidecar, "stdout"), stderr=_file(sidecar, "stderr"))


def read_roots(source: str, text: str, *, flag: str = "--root-certs") -> str:
    """The PEM text of one or more CA certificates, checked. `flag` takes a file. Raises InvalidConfiguration."""
    if "-----BEGIN CERTIFICATE-----" not in text:
        hint = f"give the certificate itself, not its path; for a file there is {flag} FILE"
        raise InvalidConfiguration(source, "expected the PEM text of CA certificates", hint)
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        hint = r"are its line breaks real ones, not the two characters \n?"
        raise InvalidConfiguration(source, "the PEM text has a certificate that cannot be read", hint) from None
    return text


def is_host(text: str) -> bool:
    """Whether a resolver can be asked for it: its labels have 1 to 63 characters."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False


def _endpoint(fields: Fields) -> Endpoint:
    host = fields.text("host")
    if "://" in host or "/" in host:
        raise fields.wrong("host", f"expected a host name or an IP address, got {host!r}", "no scheme, no path")
    if not is_host(host):
        raise fields.wrong("host", f"no name can be {host!r}")
    port = fields.whole("port", DEFAULT_PORT, least=1, most=65535)
    with fields.within("transportSecurity") as security:
        if security.has("none"):
            hint = "remove it: TLS is the default, and a proof of identity never travels without"
            raise security.wrong("none", "a connection without TLS is not supported", hint)
        with security.within("tls") as tls:
            return Endpoint(host, port, sni=tls.text("sni", ""), verify=not tls.flag("insecureSkipVerify"))


def _file(fields: Fields, name: str) -> str:
    with fields.within(name) as output:
        return output.text("filename", "")
