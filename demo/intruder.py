"""Runs as an ECS task of its own and tries what an attacker would try with a captured proof.

Prints one JSON line an attempt.

It holds a real task role's credentials and signs as an agent does, so that only the binding of the proof can stop it.
"""

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.exchange import Request, ask_tls
from outrig.agent.signing import Credentials, prove
from outrig.wire.codec import decode, encode
from outrig.wire.join import Challenge, EcsTask, HostAddress, JoinRequest

HOST, PORT = os.environ["ONBOARDING_HOST"], 15443
LINK_LOCAL = "http://169.254.170.2"


def metadata(url: str) -> Mapping[str, Any]:
    """A document of the task's metadata or credentials endpoint."""
    with urlopen(url) as answer:  # noqa: S310 - link-local, fixed
        document: Mapping[str, Any] = json.load(answer)
        return document


def new_csr() -> bytes:
    """A certificate request for a new key, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request to the control plane, its certificate checked."""
    tls = ssl.create_default_context(cadata=os.environ["ONBOARDING_AGENT_ROOT_CERTS"])
    answer = await ask_tls(Request(method, HOST, path, body), HOST, PORT, tls=tls, name=HOST)
    return answer.status, answer.body


async def honest_request() -> JoinRequest:
    """What this task's own agent would send."""
    task = metadata(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task")
    role = metadata(LINK_LOCAL + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
    credentials = Credentials(role["AccessKeyId"], role["SecretAccessKey"], role["Token"])
    challenge = decode(Challenge, (await ask("POST", "/v1/challenge"))[1])
    csr = new_csr()
    proof = prove(credentials, challenge, csr, region=os.environ["AWS_REGION"], now=datetime.now(UTC))
    address = task["Containers"][0]["Networks"][0]["IPv4Addresses"][0]
    return JoinRequest(
        version=1,
        namespace="bookinfo",
        workload_group="details",
        csr=base64.b64encode(csr).decode(),
        aws=proof,
        ecs=EcsTask(task["Cluster"], task["TaskARN"]),
        addresses=(HostAddress(address, "VPC"),),
        agent_version="0.0.0",
        envoy_version="0.0.0",
    )


async def attempt(name: str, request: JoinRequest) -> None:
    """Send it and print what came of it."""
    status, body = await ask("POST", "/v1/join", encode(request).encode())
    answer = json.loads(body)
    print(json.dumps({"attempt": name, "status": status, "reason": answer.get("reason", "")}), flush=True)


async def main() -> None:
    """The attempts; a fresh proof each, but for the replay."""
    other_key = replace(await honest_request(), csr=base64.b64encode(new_csr()).decode())
    await attempt("proof for another key", other_key)
    honest = await honest_request()
    await attempt("honest", honest)
    await attempt("replay", honest)
    foreign = await honest_request()
    credentials = metadata(LINK_LOCAL + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
    stolen = Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["Token"])
    challenge = Challenge(foreign.aws.nonce, "elsewhere.example/0000", 60)
    csr = base64.b64decode(foreign.csr)
    proof = prove(stolen, challenge, csr, region=os.environ["AWS_REGION"], now=datetime.now(UTC))
    await attempt("proof for another control plane", replace(foreign, aws=proof))
    print(json.dumps({"attempt": "done"}), flush=True)
    await asyncio.sleep(3600)  # until it is stopped


if __name__ == "__main__":
    asyncio.run(main())
