"""The proof's signature is the one AWS's own library makes."""

from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from outrig.agent.signing import Credentials, prove
from outrig.wire.join import AwsProof, Challenge
from outrig.wire.proof import BODY, METHOD, PATH, authorization, headers, sts_host

REGIONS = ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1"]
WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789+/=", min_size=1, max_size=60)
TIME = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def as_botocore_signs(proof: AwsProof, secret: str, audience: str, csr: bytes) -> str:
    signed = headers(proof, audience, csr)
    request = AWSRequest(METHOD, f"https://{sts_host(proof.region)}{PATH}", data=BODY)
    for name, value in signed.items():
        request.headers[name] = value
    request.context["timestamp"] = proof.amz_date
    credentials = BotoCredentials(proof.access_key_id, secret, proof.session_token)
    auth = SigV4Auth(credentials, "sts", proof.region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))  # its public way asks the clock
    return str(request.headers["Authorization"])


@given(WORD, WORD, WORD, st.sampled_from(REGIONS), TIME, st.binary(max_size=200))
def test_a_proof_is_signed_as_botocore_signs(
    key_id: str, secret: str, token: str, region: str, now: datetime, csr: bytes
) -> None:
    challenge = Challenge("ab" * 16, "cluster.local/cp", 60)
    proof = prove(Credentials(key_id, secret, token), challenge, csr, region=region, now=now)
    assert authorization(proof) == as_botocore_signs(proof, secret, challenge.audience, csr)


def test_every_binding_changes_the_signature() -> None:
    now, credentials = datetime(2026, 1, 1, tzinfo=UTC), Credentials("A", "s", "t")

    def signature(audience: str = "a", nonce: str = "n", csr: bytes = b"c") -> str:
        return prove(credentials, Challenge(nonce, audience, 60), csr, region="us-east-1", now=now).signature

    signatures = {signature(), signature(audience="b"), signature(nonce="m"), signature(csr=b"d")}
    assert len(signatures) == 4


def test_credentials_do_not_show_in_a_traceback() -> None:
    shown = repr(Credentials("ASIA", "secret", "token"))
    assert shown == "Credentials(ASIA)"
