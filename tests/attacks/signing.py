"""A SigV4 signer of its own, which signs whatever an attacker likes: any method, path, query, headers, body, scope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from outrig.wire import proof as wire
from outrig.wire.join import AwsProof
from tests.attacks.scene import Credentials, sign


@dataclass(frozen=True)
class Canonical:
    """A request as it is signed. `headers` are changes to the honest ones; None leaves one out."""

    method: str = "POST"
    path: str = "/"
    query: str = ""
    body: bytes = b"Action=GetCallerIdentity&Version=2011-06-15"
    payload: str = ""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    algorithm: str = "AWS4-HMAC-SHA256"
    service: str = "sts"
    region: str = ""
    date: str = ""


def signature(credentials: Credentials, proof: AwsProof, audience: str, csr: bytes, what: Canonical) -> str:
    """The signature over that request."""
    headers = {**wire.headers(proof, audience, csr), **what.headers}
    signed = {name: value for name, value in sorted(headers.items()) if value is not None}
    names = ";".join(signed)
    lines = [what.method, what.path, what.query, *(f"{name}:{value}" for name, value in signed.items()), "", names]
    canonical = "\n".join([*lines, what.payload or sha256(what.body).hexdigest()])
    region, date = what.region or proof.region, what.date or proof.amz_date[:8]
    scope = f"{date}/{region}/{what.service}/aws4_request"
    text = "\n".join([what.algorithm, proof.amz_date, scope, sha256(canonical.encode()).hexdigest()])
    return sign(credentials, proof, text, service=what.service, region=region)
