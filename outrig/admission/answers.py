"""The answer to a join: everything that the sidecar needs to start.

In: what was enrolled. Out: the message. Times are told as seconds from now, so that clocks need not agree.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from outrig.admission.enrolment import Enrolled
from outrig.admission.ports import Authorities
from outrig.admission.probing import probe_of
from outrig.admission.settings import AdmissionSettings
from outrig.dialects.kuma.dataplane import DATAPLANE, networking_of
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.tags import namespace_of, proxy_id
from outrig.dialects.kuma.zone_proxy import ZONE_EGRESS, ZONE_INGRESS
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Resource
from outrig.wire.join import JoinResponse
from outrig.wire.probe import PortProbe

_INTERVAL, _TIMEOUT, _THRESHOLD = timedelta(seconds=1), timedelta(seconds=2), 1
_BRIEF: Final = 10
"""Seconds: what ends sooner does so because what it was issued from ends, so renewals would only come ever faster."""
_ZONE_PROXIES: Final = (ZONE_INGRESS.name, ZONE_EGRESS.name)


def answer(enrolled: Enrolled, settings: AdmissionSettings, *, authorities: Authorities, now: datetime) -> JoinResponse:
    """The answer to whoever was enrolled."""
    registration = enrolled.registration
    seconds = max(1, int((min(one.not_after for one in enrolled.issued) - now).total_seconds()))
    member = registration.key.kind == WORKLOAD_AUTO_REGISTRATION.name
    return JoinResponse(
        namespace=registration.key.namespace if member else namespace_of(registration.key.mesh),
        registration=registration.key.name,
        uid=registration.uid,
        node_id=_node_id(registration.key),
        control_chain=enrolled.control.chain,
        control_roots=authorities.control_roots,
        control_plane=authorities.control_plane,
        workload_chain=enrolled.workload.chain if enrolled.workload else "",
        xds_port=settings.xds_port,
        xds_host=settings.xds_host,
        probe=probe_of(registration) if member else None,
        probes=tuple(_probes(registration)),
        expires_in=seconds,
        renew_in=seconds // 2 if seconds >= _BRIEF else seconds,
    )


def _node_id(registration: Key) -> str:
    """The proxy's id towards xDS: ids of group members have one slash, all others two."""
    if registration.kind == DATAPLANE.name:
        return proxy_id(registration)
    if registration.kind in _ZONE_PROXIES:
        return f"{registration.kind.lower()}//{registration.name}"
    return f"{registration.namespace}/{registration.name}"


def _probes(registration: Resource) -> Iterator[PortProbe]:
    inbounds = networking_of(registration).inbound if registration.key.kind == DATAPLANE.name else ()
    for inbound in inbounds:
        if (probe := inbound.service_probe) and inbound.listens:
            host, port = inbound.target
            yield PortProbe(
                port=inbound.port,
                host=host,
                target_port=port,
                interval=(duration_of(probe.interval) or _INTERVAL).total_seconds(),
                timeout=(duration_of(probe.timeout) or _TIMEOUT).total_seconds(),
                healthy_threshold=probe.healthy_threshold or _THRESHOLD,
                unhealthy_threshold=probe.unhealthy_threshold or _THRESHOLD,
            )
