"""How far clocks may differ: certificates allow all that proofs allow, and what is beyond is named."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.attest.settings import AttestSettings
from outrig.ca.authorities import Authorities, ClockOutside, open_authorities, utc_now
from outrig.ca.authority import Issued
from outrig.ca.names import ControlName
from outrig.ca.settings import CaSettings
from outrig.store.memory import MemoryStore


def issued(authorities: Authorities) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return authorities.issue_control(key, ControlName(authorities.cluster_id, "a", "b", "c"))


async def test_a_certificate_is_valid_by_every_clock_that_a_proof_may_be_dated_by() -> None:
    """So nobody joins who, or whose peers, cannot use what they get; ahead also at the moment it is renewed."""
    accepted, now = AttestSettings(), utc_now()
    certificate = issued(await open_authorities(MemoryStore(), clock=lambda: now))
    begin = x509.load_pem_x509_certificate(certificate.chain.encode()).not_valid_before_utc
    assert begin <= now - accepted.oldest
    renewed = now + CaSettings().control_lifetime / 2
    assert renewed + accepted.furthest < certificate.not_after


@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(days=4000)], ids=["before", "after"])
async def test_a_control_plane_whose_clock_is_outside_its_authoritys_life_names_both(off: timedelta) -> None:
    store, now = MemoryStore(), utc_now()
    await open_authorities(store, clock=lambda: now)
    late = await open_authorities(store, clock=lambda: now + off)
    with pytest.raises(ClockOutside, match="Outrig control: valid from") as refused:
        issued(late)
    assert f"it is {now + off:%Y-%m-%d %H:%M}" in str(refused.value)
