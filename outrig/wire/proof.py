"""The one request a proof signs: sts:GetCallerIdentity, by POST, to the regional endpoint, over a fixed set of headers.

Agent and control plane both build it from these constants; nothing of it is ever sent. The three `x-outrig-` headers
bind the signature to one control plane, to one nonce and to one key.
Source: AWS Signature Version 4, "Create a signed AWS API request"; AWS STS, GetCallerIdentity.
"""

from hashlib import sha256

from outrig.wire.join import AwsProof

METHOD = "POST"
PATH = "/"
BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
ALGORITHM = "AWS4-HMAC-SHA256"
SIGNED_HEADERS = (
    "content-type;host;x-amz-date;x-amz-security-token;x-outrig-audience;x-outrig-csr-sha256;x-outrig-nonce"
)

# DNS suffix of a region's partition, by the region's prefix; the longest prefix counts.
_SUFFIXES = {
    "": "amazonaws.com",
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "eusc-": "amazonaws.eu",
}


def sts_host(region: str) -> str:
    """The regional STS endpoint's host."""
    prefix = max((p for p in _SUFFIXES if region.startswith(p)), key=len)
    return f"sts.{region}.{_SUFFIXES[prefix]}"


def headers(proof: AwsProof, audience: str, csr: bytes) -> dict[str, str]:
    """All signed headers of the request that the proof's signature must fit. `csr`: DER."""
    return {
        "content-type": CONTENT_TYPE,
        "host": sts_host(proof.region),
        "x-amz-date": proof.amz_date,
        "x-amz-security-token": proof.session_token,
        "x-outrig-audience": audience,
        "x-outrig-csr-sha256": sha256(csr).hexdigest(),
        "x-outrig-nonce": proof.nonce,
    }


def scope(proof: AwsProof) -> str:
    """The credential scope."""
    return f"{proof.amz_date[:8]}/{proof.region}/sts/aws4_request"


def authorization(proof: AwsProof) -> str:
    """The Authorization header."""
    credential = f"{proof.access_key_id}/{scope(proof)}"
    return f"{ALGORITHM} Credential={credential}, SignedHeaders={SIGNED_HEADERS}, Signature={proof.signature}"


def string_to_sign(proof: AwsProof, audience: str, csr: bytes) -> str:
    """What the signature is computed over; `proof.signature` itself plays no part."""
    signed = headers(proof, audience, csr)
    lines = [METHOD, PATH, "", *(f"{name}:{signed[name]}" for name in SIGNED_HEADERS.split(";")), ""]
    canonical = "\n".join([*lines, SIGNED_HEADERS, sha256(BODY).hexdigest()])
    return "\n".join([ALGORITHM, proof.amz_date, scope(proof), sha256(canonical.encode()).hexdigest()])
