"""Getting in: discovery, challenge, join.

| request | body | answer |
|---|---|---|
| `GET /v1/discovery` | | `Discovery` |
| `POST /v1/challenge` | | `Challenge` |
| `POST /v1/join` | `JoinRequest` | `JoinResponse`, or `Refusal` with status 400, 403, 409, 413, 429 or 503 |

Renewal is the same join again; a request that comes with the client certificate of a live registration may bring a
new key.
"""

from dataclasses import dataclass, field

from outrig.wire.probe import PortProbe, Probe

MAX_REQUEST = 64 * 1024  # bytes of a join request


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a caller needs to know before it joins. `versions`: protocol versions served."""

    versions: tuple[int, ...]
    audience: str
    server_version: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """A one-time nonce for one join. `expires_in`: seconds."""

    nonce: str
    audience: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class AwsProof:
    """A signature over sts:GetCallerIdentity, as fields: the control plane rebuilds the request from constants.

    `amz_date`: `YYYYMMDD'T'HHMMSS'Z'`. `signature`: 64 hex digits. `nonce`: from the challenge. What is signed:
    `wire.proof`.
    """

    region: str
    amz_date: str
    access_key_id: str
    session_token: str
    signature: str
    nonce: str


@dataclass(frozen=True, slots=True)
class EcsTask:
    """Which task the caller says it is; only a hint that tells the control plane what to ask ECS."""

    cluster: str
    task_arn: str


@dataclass(frozen=True, slots=True)
class JwtProof:
    """A token of an issuer that the control plane trusts, compact form. `nonce`: from the challenge."""

    token: str
    nonce: str


@dataclass(frozen=True, slots=True)
class TokenProof:
    """A data plane token, or a zone token, compact form. `nonce`: from the challenge.

    Empty where the control plane asks its proxies for no proof.
    """

    token: str
    nonce: str


@dataclass(frozen=True, slots=True)
class DataplaneJoin:
    """Which proxy of a mesh joins. `proxy_type`: dataplane, ingress or egress; the latter two are of no mesh.

    `resource`: its Dataplane (ZoneIngress, ZoneEgress) as JSON text; empty: the one of this name that the control plane
    has already.
    """

    mesh: str
    name: str
    proxy_type: str = "dataplane"
    resource: str = ""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of the workload. `type`: VPC or INTERNET."""

    ip: str
    type: str


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """`csr`: base64 of a PKCS#10 request's DER; only its public key counts. `labels` add to the group's.

    Either `aws` and `ecs` (a task of ECS), or `jwt` (any other host), or `token` say who is calling. With `dataplane`,
    `namespace` and `workload_group` are empty, and so may `addresses` be; without it, `token` is no proof.
    """

    version: int
    namespace: str
    workload_group: str
    csr: str
    addresses: tuple[HostAddress, ...]
    agent_version: str
    envoy_version: str
    labels: dict[str, str] = field(default_factory=dict)
    connected_over: str = "VPC"
    aws: AwsProof | None = None
    ecs: EcsTask | None = None
    jwt: JwtProof | None = None
    token: TokenProof | None = None
    dataplane: DataplaneJoin | None = None


@dataclass(frozen=True, slots=True)
class JoinResponse:
    """Everything the sidecar needs to start. Times are seconds from now, so that clocks need not agree.

    `node_id`: the proxy's id towards xDS. `control_chain`: the control identity, leaf first, PEM; `workload_chain`: the
    workload identity likewise. `control_roots`: whom to accept as the control plane, PEM; its server certificate
    carries the URI `control_plane`. The xDS server is at `xds_port` of the host the agent joined at, or of `xds_host`.
    `probe`: how to find out whether the application is ready; None: by its open ports. `probes`: how a Dataplane's
    inbounds are probed, those that are; the ports are named in `Report.unready_ports` while they fail. A Dataplane's
    `namespace` is `kuma-<mesh>`, its `registration` its name; a zone proxy's namespace is `kuma-`.
    """

    namespace: str
    registration: str
    uid: str
    node_id: str
    control_chain: str
    control_roots: str
    control_plane: str
    workload_chain: str
    xds_port: int
    expires_in: int
    renew_in: int
    xds_host: str = ""
    probe: Probe | None = None
    probes: tuple[PortProbe, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a join was refused. `reference` is in the control plane's log too. `retry_after`: seconds, 0: as you like."""

    code: str
    reason: str
    hint: str
    reference: str
    retry_after: int = 0
