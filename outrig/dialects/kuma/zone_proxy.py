"""ZoneIngress and ZoneEgress: proxies that other zones are to be reached by. They join, and route nothing yet.

The control plane makes them when such a proxy joins; users may read and delete them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, MISSING, Place
from outrig.dialects.kind import Column, Kind
from outrig.dialects.kuma.dataplane_spec import Admin, Number
from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Resource


class ZoneNetworking(KumaForm):
    """Where the proxy is reached."""

    address: str = Field(default="", description="IP address of the proxy.")
    port: Number = Field(default=0, description="Port that it is to listen on.")
    advertised_address: str = Field(default="", description="IP address that others use, where it differs.")
    advertised_port: Number = Field(default=0, description="Port that others use, where it differs.")
    admin: Admin | None = Field(default=None, description="Envoy's admin interface.")


class ZoneProxyBody(KumaForm):
    """A proxy of a zone."""

    zone: str = Field(default="", description="Its zone.")
    networking: ZoneNetworking = Field(default=ZoneNetworking(), description="Where it is reached.")


def zone_networking(resource: Resource) -> ZoneNetworking:
    """Where a zone proxy is reached."""
    return parse(ZoneProxyBody, resource).networking


def _findings(resource: Resource) -> tuple[Finding, ...]:
    return tuple(_wrong(Place(resource.key, "networking"), zone_networking(resource)))


def _wrong(place: Place, networking: ZoneNetworking) -> Iterator[Finding]:
    if not networking.address:
        yield (place / "address").error(MISSING, "address can't be empty")
    for field, text in (("address", networking.address), ("advertisedAddress", networking.advertised_address)):
        if text and not syntax.is_ip(text):
            yield (place / field).error(INVALID, "address has to be valid IP address")
    if not 1 <= networking.port <= 65535:
        yield (place / "port").error(INVALID, "port must be in the range [1, 65535]")
    if not 0 <= networking.advertised_port <= 65535:
        yield (place / "advertisedPort").error(INVALID, "port must be in the range [1, 65535]")
    if bool(networking.advertised_address) != bool(networking.advertised_port):
        hint = "write both or neither"
        yield (place / "advertisedAddress").error(MISSING, "has to come with advertisedPort, and that with it", hint)


ZONE_INGRESS: Final = Kind(
    group=GROUP,
    name="ZoneIngress",
    plural="zone-ingresses",
    singular="zone-ingress",
    short_names=("zi",),
    versions=(VERSION,),
    schema=ZoneProxyBody,
    namespaced=False,
    system=True,
    columns=(Column("Address", lambda proxy: zone_networking(proxy).address, description="Address of the proxy"), AGE),
    findings=_findings,
)

ZONE_EGRESS: Final = replace(
    ZONE_INGRESS, name="ZoneEgress", plural="zoneegresses", singular="zoneegress", short_names=("ze",)
)
