"""The schema of ServiceEntry."""

from typing import Annotated, Literal

from pydantic import Field

from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.schema import DnsLabel, Form, Labels, Port, keyed_by

Short = Annotated[str, Field(max_length=256)]


class ServiceEntryPort(Form):
    """A port of the service."""

    number: Port = Field(description="Number that callers use.")
    name: DnsLabel = Field(description="Name of the port. A port of that name of an endpoint leads to its own number.")
    protocol: Short = Field(
        default="",
        description="HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, REDIS or MYSQL. Empty: taken for HTTP where "
        "a listener must decide.",
    )
    target_port: Port | None = Field(default=None, description="The endpoints' port. Default: the same number.")


class EntrySelector(Form):
    """Chooses WorkloadEntries of the namespace."""

    labels: Labels = Field(default={}, max_length=256, description="Labels that a WorkloadEntry must have.")


class ServiceEntrySpec(Form):
    """Hosts that callers know, and where they are."""

    hosts: list[Short] = Field(
        min_length=1, max_length=256, description="Names under which it is called: ext.example.com, *.example.com."
    )
    addresses: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[], max_length=256, description="IP addresses under which callers may know the first host as well."
    )
    ports: list[ServiceEntryPort] = Field(
        default=[],
        max_length=256,
        description="Ports on which callers reach it.",
        json_schema_extra=keyed_by("name"),
    )
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = Field(
        default="MESH_EXTERNAL",
        description="MESH_EXTERNAL: called without the mesh's TLS. MESH_INTERNAL: by mutual TLS where an endpoint has "
        "an identity.",
    )
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = Field(
        default="NONE",
        description="STATIC: endpoints are IP addresses. DNS: host names, all of whose addresses are endpoints. "
        "DNS_ROUND_ROBIN: one host name, whose first address is used. NONE: the called host itself, looked up.",
    )
    endpoints: list[WorkloadTemplate] = Field(
        default=[], max_length=4096, description="Where it is. Without any, under DNS, the hosts themselves."
    )
    workload_selector: EntrySelector | None = Field(
        default=None, description="WorkloadEntries of the namespace that are its endpoints."
    )
    export_to: list[Short] = Field(
        default=[], description="Namespaces that see it: . its own, * all, ~ none, or names. Default: all."
    )
    subject_alt_names: list[Annotated[str, Field(max_length=256)]] = Field(
        default=[],
        max_length=256,
        description="SPIFFE URIs to accept as this service, in place of those of its endpoints.",
    )


class ServiceEntryBody(Form):
    """Hosts that callers know, and where they are."""

    spec: ServiceEntrySpec = Field(description="Hosts that callers know, and where they are.")
