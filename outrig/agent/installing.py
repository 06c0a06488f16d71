"""Putting a join's answer where Envoy finds it: secrets, the control identity, the bootstrap.

A join counts only when all of it is written; otherwise it is tried again, with what was there before still in use.
Secrets come before the bootstrap, which refers to them.
"""

import logging
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent import bootstrap, sds
from outrig.agent.configuration import Onboarding
from outrig.agent.dataplane import ProxySeat
from outrig.agent.joining import Joined, Joins, lives
from outrig.agent.rundir import RunDirectory
from outrig.wire.join import JoinResponse

CONTROL_CHAIN = "control.pem"  # Python's ssl loads a certificate from a file only
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Installer:
    """Joins, and installs what comes of it."""

    joiner: Joins
    key: ec.EllipticCurvePrivateKey
    directory: RunDirectory
    seat: Onboarding | ProxySeat

    async def join(self) -> Joined:
        """One try. Raises what the joiner raises, and CannotWrite."""
        joined = await self.joiner.join()
        response = joined.response
        for name, text in sds.secret_files(response, self.key).items():
            self.directory.write(name, text)
        self.directory.write(CONTROL_CHAIN, response.control_chain)
        self.directory.write(bootstrap.BOOTSTRAP, self._bootstrap(response))
        _log.info(
            "joined as %s; %s, renewal in %d s",
            _name_of(response), _lives_of(response), response.renew_in,
        )  # fmt: skip
        return joined

    def _bootstrap(self, response: JoinResponse) -> str:
        server = bootstrap.xds_server(response, self.seat.endpoint.host)
        return bootstrap.bootstrap(response, str(self.seat), server)


def _lives_of(response: JoinResponse) -> str:
    """How long the certificates hold; they are renewed together, so the shorter life decides when."""
    control, workload = lives(response)
    if workload == control:
        return f"certificates for {control} s"
    return f"workload certificate for {workload} s, control identity for {control} s"


def _name_of(joined: JoinResponse) -> str:
    """Its namespace and name; a zone proxy, whose id is `zoneingress//zi`, is in none."""
    kind, _, name = joined.node_id.partition("//")
    return f"{kind} {name}" if name else f"{joined.namespace}/{joined.registration}"
