"""The schema of Mesh, as of Kuma 2.x. It knows fields and their types; the rest is judged in `mesh_findings`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from outrig.dialects.kuma.dataplane_spec import NO_EFFECT, NOT_YET, Number, Tags
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.form import KumaForm


class Rotation(KumaForm):
    """How long certificates last."""

    expiration: str = Field(default="", description="Lifetime of a workload's certificate, for example 24h.")


class DpCert(KumaForm):
    """Certificates of workloads."""

    rotation: Rotation | None = Field(default=None, description="How long they last.")
    request_timeout: str = Field(default="", description=NO_EFFECT)


class RootChain(KumaForm):
    """The chain of the authority."""

    request_timeout: str = Field(default="", description=NO_EFFECT)


class DataSource(KumaForm):
    """Where a certificate or key is: exactly one of these."""

    secret: str = Field(default="", description="Name of a Secret of the mesh.")
    inline: str = Field(default="", description="The content, in base64. Not for keys.")
    inline_string: str = Field(default="", description="The content (PEM). Not for keys.")
    file: str = Field(default="", description="Not supported: a file of the control plane.")

    @property
    def said(self) -> Mapping[str, str]:
        """What is written down, by field."""
        fields = {"secret": self.secret, "inline": self.inline, "inlineString": self.inline_string, "file": self.file}
        return {field: value for field, value in fields.items() if value}


class CaCert(KumaForm):
    """The authority that is made for the mesh."""

    rsa_bits: Number | None = Field(default=None, alias="RSAbits", description=NO_EFFECT)
    expiration: str = Field(default="", description="Lifetime of the authority, for example 10y.")


class BackendConf(KumaForm):
    """Settings of an authority, by its type."""

    ca_cert: CaCert | None = Field(default=None, description="builtin: the authority that is made.")
    cert: DataSource | None = Field(default=None, description="provided: certificate of the authority.")
    key: DataSource | None = Field(default=None, description="provided: its private key.")


class Backend(KumaForm):
    """An authority that signs the certificates of the mesh's workloads."""

    name: str = Field(default="", description="Name of the backend.")
    type: str = Field(default="", description="builtin or provided.")
    mode: Literal["STRICT", "PERMISSIVE"] = Field(
        default="STRICT", description="STRICT: mutual TLS only. PERMISSIVE: plaintext too."
    )
    dp_cert: DpCert | None = Field(default=None, description="Certificates of workloads.")
    root_chain: RootChain | None = Field(default=None, description="The chain of the authority.")
    conf: BackendConf | dict[str, Any] | None = Field(
        default=None, description="Settings of the type.", union_mode="left_to_right"
    )

    @property
    def settings(self) -> BackendConf:
        """Its settings, if it is of a type that is known."""
        return self.conf if isinstance(self.conf, BackendConf) else BackendConf()

    @property
    def certificate_lifetime(self) -> timedelta | None:
        """How long certificates of workloads last; None: as long as others."""
        rotation = self.dp_cert.rotation if self.dp_cert else None
        return duration_of(rotation.expiration) if rotation and rotation.expiration else None


class Mtls(KumaForm):
    """Mutual TLS between the mesh's Dataplanes; off until a backend is enabled."""

    enabled_backend: str = Field(default="", description="Name of the backend that signs; empty: mutual TLS is off.")
    backends: list[Backend] = Field(default=[], description="At most one.")
    skip_validation: bool = Field(default=False, description=NO_EFFECT)

    @property
    def enabled(self) -> Backend | None:
        """The backend that signs; None: mutual TLS is off."""
        return next((one for one in self.backends if self.enabled_backend and one.name == self.enabled_backend), None)


class Outbound(KumaForm):
    """Traffic that is no outbound."""

    passthrough: bool | None = Field(default=None, description=NO_EFFECT)


class Networking(KumaForm):
    """Traffic of the mesh."""

    outbound: Outbound | None = Field(default=None, description="Traffic that is no outbound.")


class Routing(KumaForm):
    """Ways between zones."""

    locality_aware_load_balancing: bool = Field(default=False, description=NO_EFFECT)
    zone_egress: bool = Field(default=False, description=NOT_YET)
    default_forbid_mesh_external_service_access: bool = Field(default=False, description=NO_EFFECT)


class MeshServices(KumaForm):
    """Whether Kuma makes MeshServices."""

    mode: Literal["Disabled", "Everywhere", "ReachableBackends", "Exclusive"] = Field(
        default="Disabled", description="All but Disabled have no effect: services are those of kuma.io/service."
    )


class TagRule(KumaForm):
    """Tags that a Dataplane has or has not."""

    tags: Tags = Field(default={}, description="Tags and their values; * stands for any.")


class Membership(KumaForm):
    """Which Dataplanes may be in the mesh."""

    requirements: list[TagRule] = Field(default=[], description="Each inbound must fit one of these, if there are any.")
    restrictions: list[TagRule] = Field(default=[], description="No inbound may fit one of these.")


class Constraints(KumaForm):
    """Who may be in the mesh."""

    dataplane_proxy: Membership | None = Field(default=None, description="Which Dataplanes.")


class MeshBody(KumaForm):
    """A mesh."""

    mtls: Mtls | None = Field(default=None, description="Mutual TLS between Dataplanes.")
    constraints: Constraints | None = Field(default=None, description="Who may be in the mesh.")
    networking: Networking | None = Field(default=None, description="Traffic of the mesh.")
    routing: Routing | None = Field(default=None, description="Ways between zones.")
    mesh_services: MeshServices | None = Field(default=None, description="Whether Kuma makes MeshServices.")
    skip_creating_initial_policies: list[str] = Field(
        default=[], description="Accepted as in Kuma; no policies are made anyway."
    )
    logging: dict[str, Any] | None = Field(default=None, description=NOT_YET)
    metrics: dict[str, Any] | None = Field(default=None, description=NOT_YET)
    tracing: dict[str, Any] | None = Field(default=None, description=NOT_YET)
