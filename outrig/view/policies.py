"""Which of several policies holds for a workload."""

from collections.abc import Iterable
from itertools import groupby
from typing import TypeVar

from outrig.model import PeerTls, Policy, ProxyShape, Surroundings, TlsMode, Workload

S = TypeVar("S")


def shape_for(workload: Workload, mesh: Surroundings) -> Policy[ProxyShape] | None:
    """The one shape that applies: that of highest rank."""
    return max(mesh.shapes_for(workload), key=_precedence, default=None)


def tls_mode(workload: Workload, port: int, mesh: Surroundings) -> TlsMode:
    """What the workload demands of callers on one of its ports."""
    mode = workload.tls_default
    for demands in levels(mesh.tls_for(workload)):
        mode = _demanded(demands, port) or mode
    return mode


def levels(policies: Iterable[Policy[S]]) -> list[S]:
    """The settings that count, lowest first: of each level (the first part of the rank) the highest ranked."""
    ranked = sorted(policies, key=_precedence)
    return [list(level)[-1].settings for _, level in groupby(ranked, key=lambda policy: policy.rank[:1])]


def _precedence(policy: Policy[S]) -> tuple[object, ...]:
    return (policy.rank, policy.origin)


def _demanded(demands: PeerTls, port: int) -> TlsMode | None:
    return dict(demands.ports).get(port, demands.mode)
