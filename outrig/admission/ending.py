"""The end of a mesh's authority: who has to hear of it, and in time.

In: an authority and the time. Out: a finding of the Mesh that it signs for, from the last tenth of its life on.
"""

from datetime import datetime

from outrig.ca.authority import nears_its_end
from outrig.ca.meshes import MeshAuthority, Reads, find_authority
from outrig.dialects.findings import Place
from outrig.dialects.kuma.mesh import mesh_key
from outrig.errors import Finding

ENDING = "OUT145"


def ending(signing: MeshAuthority, now: datetime) -> Finding | None:
    """What the Mesh's owner should hear of its authority; None while it has long to live."""
    certificate = signing.authority.certificate
    if not nears_its_end(certificate, now):
        return None
    end = certificate.not_valid_after_utc
    tense, then = ("ends", "from then on") if now < end else ("ended", "since then")
    problem = f"the authority of mesh {signing.mesh} {tense} at {end:%Y-%m-%d %H:%M} UTC: {then} nobody joins or renews"
    hint = "give the backend another certificate, or another name"
    return Place(mesh_key(signing.mesh), "mtls").warning(ENDING, problem, hint)


async def ending_of(reads: Reads, mesh: str, now: datetime) -> tuple[Finding, ...]:
    """The same, of the mesh of that name; empty too if there is none."""
    try:
        signing = await find_authority(reads, mesh)
    except ValueError:  # one that is damaged is told of where it signs, and where authorities are looked through
        return ()
    found = ending(signing, now) if signing else None
    return (found,) if found else ()
