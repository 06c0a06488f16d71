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
    return decided_tls(workload, port, mesh)[0]


def decided_tls(workload: Workload, port: int, mesh: Surroundings) -> tuple[TlsMode, Policy[PeerTls] | None]:
    """The same, and the policy that says so; None where the workload's own default holds."""
    decided: tuple[TlsMode, Policy[PeerTls] | None] = (workload.tls_default, None)
    for policy in levels(mesh.tls_for(workload)):
        if mode := _demanded(policy.settings, port):
            decided = mode, policy
    return decided


def levels(policies: Iterable[Policy[S]]) -> list[Policy[S]]:
    """The policies that count, lowest first: of each level (the first part of the rank) the highest ranked."""
    ranked = sorted(policies, key=_precedence)
    return [list(level)[-1] for _, level in groupby(ranked, key=lambda policy: policy.rank[:1])]


def _precedence(policy: Policy[S]) -> tuple[object, ...]:
    return (policy.rank, policy.origin)


def _demanded(demands: PeerTls, port: int) -> TlsMode | None:
    return dict(demands.ports).get(port, demands.mode)
