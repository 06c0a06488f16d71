"""The signature of a proof: AWS Signature Version 4 over the one request that `wire.proof` describes.

In: credentials, a challenge, the CSR, the time. Out: the proof's fields. Nothing is sent.
Source: AWS, "Create a signed AWS API request".
"""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from outrig.wire.join import AwsProof, Challenge
from outrig.wire.proof import string_to_sign


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials of the task role. Only the access key id ever shows in a repr."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id})"


def prove(credentials: Credentials, challenge: Challenge, csr: bytes, *, region: str, now: datetime) -> AwsProof:
    """The signed proof for one join. `csr`: DER, exactly as sent. `now`: UTC."""
    unsigned = AwsProof(
        region=region,
        amz_date=now.strftime("%Y%m%dT%H%M%SZ"),
        access_key_id=credentials.access_key_id,
        session_token=credentials.session_token,
        signature="",
        nonce=challenge.nonce,
    )
    text = string_to_sign(unsigned, challenge.audience, csr)
    key = _signing_key(credentials.secret_access_key, unsigned.amz_date[:8], region)
    return replace(unsigned, signature=_mac(key, text).hex())


def _signing_key(secret: str, date: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, "sts", "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), sha256)
