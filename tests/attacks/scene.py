"""The parties of these tests: AWS (moto, signatures verified), a control plane, and callers honest or not."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import botocore.session
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette

from outrig.admission.admission import Admission
from outrig.admission.settings import AdmissionSettings
from outrig.api.agents.join import join_routes
from outrig.attest.attestor import AwsAttestor
from outrig.attest.aws import Aws
from outrig.attest.issuers import Issuer
from outrig.attest.regions import known_regions
from outrig.attest.settings import AttestSettings
from outrig.attest.sts import Sts
from outrig.attest.tokens import TokenAttestor
from outrig.ca.authorities import Authorities, open_authorities
from outrig.dialects.conditions import AGENT_CONNECTED, Condition, with_condition
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query, Store
from outrig.tokens.tokens import Tokens
from outrig.wire import proof as wire
from outrig.wire.join import AwsProof
from tests.mesh_keeping import make_authority

ACCOUNT = "123456789012"
REGION = "us-east-1"
NO_TAGS: Mapping[str, str] = MappingProxyType({})
ECS_ONLY = {"Service": "ecs-tasks.amazonaws.com"}
ADMISSION = AdmissionSettings(xds_port=5679, rate=1000, burst=1000)
GROUP = Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings")
POLICY = Key("authorization.onboarding.tetrate.io", "OnboardingPolicy", "", "bookinfo", "allow-ecs")


@dataclass(frozen=True)
class Credentials:
    """Of a role session."""

    access_key: str
    secret_key: str
    token: str


@dataclass(frozen=True)
class RunningTask:
    """An ECS task that runs, with what its containers can read."""

    arn: str
    cluster: str
    ip: str
    credentials: Credentials

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


class AwsServer:
    """AWS in a process of its own."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("aws_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout
        about = json.loads(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{about['port']}"
        self.own = (about["access_key"], about["secret_key"])
        self._clients: dict[str, Any] = {}
        self._network()

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.wait(10)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            key, secret = self.own
            self._clients[service] = botocore.session.Session().create_client(
                service, REGION, endpoint_url=self.url, aws_access_key_id=key, aws_secret_access_key=secret
            )
        return self._clients[service]

    def role(self, name: str, *, trusts: Any = ECS_ONLY, path: str = "/", tags: Mapping[str, str] = NO_TAGS) -> str:
        statement = {"Effect": "Allow", "Principal": trusts, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = self.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document, Tags=given)
        return str(made["Role"]["Arn"])

    def task(self, role: str, *, cluster: str = "bookinfo", **extra: Any) -> RunningTask:
        ecs = self.client("ecs")
        ecs.create_cluster(clusterName=cluster)
        family = "f" + hashlib.sha256(role.encode()).hexdigest()[:8]
        container = {"name": "app", "image": "app:1", "memory": 64}
        ecs.register_task_definition(
            family=family, networkMode="awsvpc", taskRoleArn=role, containerDefinitions=[container]
        )
        network = {"awsvpcConfiguration": {"subnets": [self._subnet], "securityGroups": [self._security_group]}}
        answer = ecs.run_task(
            cluster=cluster, taskDefinition=family, launchType="FARGATE", networkConfiguration=network, **extra
        )
        task = answer["tasks"][0]
        details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
        arn = task["taskArn"]
        session = self.session(role, arn.rpartition("/")[2])
        return RunningTask(arn, cluster, details["privateIPv4Address"], session)

    def stop(self, task: RunningTask) -> None:
        self.client("ecs").stop_task(cluster=task.cluster, task=task.arn)

    def publish(self, task: RunningTask) -> str:
        """Give the task's network interface a public address."""
        ec2 = self.client("ec2")
        described = self.client("ecs").describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"][0]
        details = {one["name"]: one["value"] for one in described["attachments"][0]["details"]}
        made = ec2.allocate_address(Domain="vpc")
        interface = details["networkInterfaceId"]
        ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=interface)
        return str(made["PublicIp"])

    def session(self, role: str, name: str) -> Credentials:
        with urlopen(f"{self.url}/scene/session?{urlencode({'role': role, 'session': name})}") as answer:
            return Credentials(**json.load(answer))

    def _network(self) -> None:
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        self._subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)
        self._security_group = group["GroupId"]


@dataclass
class Plane:
    """A control plane: the real HTTP application, in this process. `certificate`: what its callers bring."""

    store: Store
    authorities: Authorities
    attestor: AwsAttestor
    client: httpx.AsyncClient
    now: datetime | None = None
    certificate: str = ""

    def clock(self) -> datetime:
        return self.now or datetime.now(UTC)

    async def challenge(self) -> str:
        answer = await self.client.post("/v1/challenge")
        assert answer.status_code == 200
        return str(answer.json()["nonce"])

    async def post(self, request: Mapping[str, Any]) -> httpx.Response:
        return await self.client.post("/v1/join", json=request)

    async def join(self, task: RunningTask, caller: "Caller | None" = None, **changes: Any) -> httpx.Response:
        """An honest join of a task, but for the changes."""
        return await self.post(await self.request(task, caller, **changes))

    async def request(self, task: RunningTask, caller: "Caller | None" = None, **changes: Any) -> dict[str, Any]:
        caller = caller or Caller()
        nonce = await self.challenge()
        signed = caller.prove(task.credentials, nonce, self.authorities.audience, now=self.clock())
        return {**caller.request(task, signed), **changes}

    async def all(self, kind: str) -> tuple[Resource, ...]:
        found = await self.store.list(Query())
        return tuple(resource for resource in found.items if resource.key.kind == kind)

    async def connect(self, registration: Key, *, connected: bool = True) -> None:
        """Its agent is connected, or is away."""
        held = await self.store.get(registration)
        assert held
        condition = Condition(AGENT_CONNECTED, connected, "Test")
        async with self.store.transaction() as tx:
            await tx.update(replace(held, status=with_condition(held.status, condition, now=self.clock())))

    async def events(self) -> list[str]:
        return [str(event.body["message"]) for event in await self.all("Event")]


_regions = cache(known_regions)
_aws = cache(Aws)  # loading botocore's data takes long; its clients hold nothing of a control plane


async def open_plane(
    aws_url: str,
    *,
    sts: httpx.AsyncBaseTransport | None = None,
    aws: Any = None,
    store: Store | None = None,
    issuers: Sequence[Issuer] = (),
    admission: AdmissionSettings = ADMISSION,
    dataplane_tokens: Tokens | None = None,
    **settings: Any,
) -> Plane:
    store = store or MemoryStore()
    attest = AttestSettings(aws_endpoint_url=aws_url, **settings)
    planes: list[Plane] = []

    def clock() -> datetime:
        return planes[0].clock() if planes else datetime.now(UTC)

    authorities = await open_authorities(store, clock=clock)
    regions = _regions(attest.regions)
    attestor = AwsAttestor(attest, sts=Sts(attest, transport=sts), aws=aws or _aws(aws_url), regions=regions)
    joining = Admission(
        admission,
        store=store,
        attestor=attestor,
        tokens=TokenAttestor(issuers),
        authorities=authorities,
        dataplane_tokens=dataplane_tokens,
    )
    routes = Starlette(routes=join_routes(joining, clock=clock))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        chain = [planes[0].certificate] if planes[0].certificate else []
        await routes({**scope, "extensions": {"tls": {"client_cert_chain": chain}}}, receive, send)

    transport = httpx.ASGITransport(application, raise_app_exceptions=False)  # type: ignore[arg-type]
    planes.append(Plane(store, authorities, attestor, httpx.AsyncClient(transport=transport, base_url="http://cp")))
    return planes[0]


async def lay_out(store: Store) -> None:
    """The mesh, and the guide's namespace, WorkloadGroup and OnboardingPolicy."""
    await make_authority(store)
    labels = {"app": "ratings", "class": "ecs", "cloud": "aws"}
    workloads = [{"aws": {"accounts": [ACCOUNT], "ecs": {}}}]
    allow = [{"workloads": workloads, "onboardTo": [{"workloadGroupSelector": {}}]}]
    group = {"template": {"labels": labels, "serviceAccount": "bookinfo-ratings"}}
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "bookinfo")))
        await tx.create(Resource(GROUP, body={"spec": group}, labels={"app": "ratings"}))
        await tx.create(Resource(POLICY, body={"spec": {"allow": allow}}))


@dataclass
class Caller:
    """Somebody with a key. What it signs is what `wire.proof` says, unless told otherwise."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "anything")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        self.csr = request.public_bytes(serialization.Encoding.DER)

    def prove(
        self, credentials: Credentials, nonce: str, audience: str, *, now: datetime | None = None, region: str = REGION
    ) -> AwsProof:
        date = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        bare = AwsProof(region, date, credentials.access_key, credentials.token, "0" * 64, nonce)
        return replace(bare, signature=sign(credentials, bare, wire.string_to_sign(bare, audience, self.csr)))

    def request(self, task: RunningTask, proof: AwsProof) -> dict[str, Any]:
        return {
            "version": 1,
            "namespace": "bookinfo",
            "workloadGroup": "ratings",
            "csr": base64.b64encode(self.csr).decode(),
            "aws": as_json(proof),
            "ecs": {"cluster": task.cluster, "taskArn": task.arn},
            "addresses": [{"ip": task.ip, "type": "VPC"}],
            "agentVersion": "0.1.0",
            "envoyVersion": "1.40.0",
        }


def as_json(proof: AwsProof) -> dict[str, str]:
    return {
        "region": proof.region,
        "amzDate": proof.amz_date,
        "accessKeyId": proof.access_key_id,
        "sessionToken": proof.session_token,
        "signature": proof.signature,
        "nonce": proof.nonce,
    }


def sign(credentials: Credentials, proof: AwsProof, text: str, *, service: str = "sts", region: str = "") -> str:
    """SigV4's signature of a string to sign."""
    key = b"AWS4" + credentials.secret_key.encode()
    for part in (proof.amz_date[:8], region or proof.region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
