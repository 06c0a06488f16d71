"""Mesh: its backends, its constraints, what it says to the core; and documents of Kuma's form."""

from typing import Any

import pytest
import yaml

from outrig.dialects import core
from outrig.dialects.kuma import DATAPLANE, MESH
from outrig.dialects.kuma.constraints import allowed
from outrig.dialects.kuma.document import InvalidDocument, examine, read
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.mesh import enabled_backend, mesh_key
from outrig.errors import Severity
from outrig.model import PeerTls, Selector, TlsMode, Trust
from outrig.resources import Key, Resource
from tests.mesh_making import dataplane, mesh, tagged, trust
from tests.unit.dialect_making import SCOPE

BUILTIN = "{name: ca-1, type: builtin}"


def made(text: str, name: str = "prod") -> Resource:
    return read({"type": "Mesh", "name": name, **yaml.safe_load(text)})


def said(text: str, name: str = "prod") -> list[str]:
    return [
        ("" if one.severity is Severity.ERROR else "warning ") + f"{one.path}: {one.problem}"
        for one in MESH.findings(made(text, name))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{mtls: {backends: [%s]}}",
        "{mtls: {enabledBackend: ca-1, backends: [%s]}, skipCreatingInitialPolicies: ['*']}",
        "{mtls: {enabledBackend: ca-1, backends: [{name: ca-1, type: builtin, mode: PERMISSIVE, dpCert: {rotation: \
          {expiration: 24h}}, conf: {caCert: {expiration: 10y}}}]}, meshServices: {mode: Disabled}}",
        "{mtls: {backends: [{name: a, type: provided, conf: {cert: {secret: my-cert}, key: {secret: my-key}}}]}}",
        "{mtls: {backends: [{name: a, type: provided, conf: {cert: {inlineString: PEM}, key: {secret: my-key}}}]}}",
        "{constraints: {dataplaneProxy: {requirements: [{tags: {kuma.io/zone: '*'}}], restrictions: []}}}",
        "{routing: {zoneEgress: false}, networking: {outbound: {}}}",
    ],
)
def test_what_kumas_users_write_is_accepted_without_a_word(text: str) -> None:
    assert said(text.replace("%s", BUILTIN)) == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "{mtls: {enabledBackend: x, backends: [{name: a, type: builtin}, {name: a, type: builtin}]}}",
            [
                "mtls.backends: cannot have more than 1 backends",
                "mtls.backends[1].name: 'a' name is already used for another backend",
                "mtls.enabledBackend: has to be set to one of the backends in the mesh",
            ],
        ),
        (
            "{mtls: {enabledBackend: a, backends: [{type: vualt, dpCert: {rotation: {expiration: 1 day}}}]}}",
            [
                "mtls.backends[0].name: cannot be empty",
                "mtls.backends[0].type: could not find installed plugin for this type",
                "mtls.backends[0].dpCert.rotation.expiration: has to be a valid format",
                "mtls.enabledBackend: has to be set to one of the backends in the mesh",
            ],
        ),
        (
            "{mtls: {backends: [{name: a, type: vault, conf: {fromCp: {address: x}}}]}}",
            ["mtls.backends[0].type: vault is not supported yet"],
        ),
        (
            "{mtls: {backends: [{name: a, type: builtin, conf: {caCert: {rsa: 1}}}]}}",
            ["mtls.backends[0].conf: does not fit type builtin"],
        ),
        (
            "{mtls: {backends: [{name: a, type: provided, conf: {cert: {file: /a}, key: {inline: a, secret: b}}}]}}",
            [
                "mtls.backends[0].conf.cert.file: files of the control plane are not read",
                "mtls.backends[0].conf.key: more than one data source is chosen",
                "mtls.backends[0].conf.key.inline: a key does not belong into a Mesh, which everybody may read",
            ],
        ),
        (
            "{mtls: {backends: [{name: a, type: provided}]}}",
            [
                "mtls.backends[0].conf.cert: data source has to be chosen",
                "mtls.backends[0].conf.key: data source has to be chosen",
            ],
        ),
        (
            "{mtls: {backends: [{name: a, type: builtin, dpCert: {rotation: {expiration: 5s}, requestTimeout: 1s}, \
              conf: {caCert: {RSAbits: 4096, expiration: 1000y}}}]}}",
            [
                "warning mtls.backends[0].conf.caCert.RSAbits: has no effect: authorities have elliptic keys (P-256)",
                "mtls.backends[0].conf.caCert.expiration: has to be a valid format",
                "warning mtls.backends[0].dpCert.requestTimeout: "
                "has no effect: nobody else is asked for certificates",
                "mtls.backends[0].dpCert.rotation.expiration: 5s is too short to be renewed in time",
            ],
        ),
        (
            "{constraints: {dataplaneProxy: {requirements: [{tags: {}}], restrictions: [{tags: {a: ''}}]}}}",
            [
                "constraints.dataplaneProxy.requirements[0].tags: must have at least one tag",
                'constraints.dataplaneProxy.restrictions[0].tags["a"]: '
                "tag value must be non-empty and consist of letters, digits and . - _ :",
            ],
        ),
        (
            "{routing: {zoneEgress: true, localityAwareLoadBalancing: true}, tracing: {}, \
              networking: {outbound: {passthrough: false}}, meshServices: {mode: Exclusive}, \
              mtls: {skipValidation: true}}",
            [
                "routing.zoneEgress: zone egress is not supported yet",
                "warning routing.localityAwareLoadBalancing: has no effect: there is one zone",
                "tracing: tracing is not supported yet",
                "warning networking.outbound.passthrough: "
                "has no effect: what is no outbound never meets the proxy",
                "warning mtls.skipValidation: has no effect: an authority that cannot sign is always refused",
                "warning meshServices.mode: "
                "MeshServices are not supported yet: services are those of the tag kuma.io/service",
            ],
        ),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_said_at_once_with_its_path(text: str, problems: list[str]) -> None:
    assert said(text) == problems


@pytest.mark.parametrize(
    ("mode", "wanted"), [("", TlsMode.DISABLE), ("STRICT", TlsMode.STRICT), ("PERMISSIVE", TlsMode.PERMISSIVE)]
)
def test_it_says_of_its_dataplanes_what_they_demand_above_all_others(mode: str, wanted: TlsMode) -> None:
    (policy,) = MESH.compile(mesh("prod", mode), SCOPE)
    assert policy.settings == PeerTls(wanted)  # type: ignore[union-attr]
    assert policy.applies_to == Selector("kuma-prod")  # type: ignore[union-attr]
    assert policy.origin == mesh_key("prod") == Key("kuma.io", "Mesh", "prod", "", "prod")


def test_the_enabled_backend_says_how_long_certificates_last() -> None:
    text = "{mtls: {enabledBackend: a, backends: [{name: a, type: builtin, dpCert: {rotation: {expiration: 2d}}}]}}"
    backend = enabled_backend(made(text))
    assert backend is not None
    assert backend.certificate_lifetime == duration_of("48h")
    assert enabled_backend(mesh("prod", "")) is None
    assert enabled_backend(made("{}")) is None


def test_a_row_shows_the_backend() -> None:
    assert [column.cell(mesh("prod")) for column in MESH.columns][:3] == ["builtin/ca", "off", "off"]
    assert MESH.columns[0].cell(mesh("prod", "")) == "off"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10y", 315360000), ("2w", 1209600), ("1d", 86400), ("24h", 86400), ("5m", 300), ("1s", 1), ("250ms", 0.25)],
)
def test_durations_have_one_number_and_one_unit(text: str, seconds: float) -> None:
    found = duration_of(text)
    assert found is not None
    assert found.total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "1h30m", "1.5h", "-1h", "101y", "1 h", "٣h"])
def test_other_spellings_are_no_durations(text: str) -> None:
    assert duration_of(text) is None


@pytest.mark.parametrize(
    ("constraints", "problem"),
    [
        ({}, None),
        ({"requirements": [{"tags": {"kuma.io/service": "kv"}}]}, None),
        ({"requirements": [{"tags": {"team": "*"}}, {"tags": {"kuma.io/zone": "*", "version": "v1"}}]}, None),
        ({"requirements": [{"tags": {"team": "*"}}]}, "networking.inbound[0]"),
        ({"requirements": [{"tags": {"version": "v1", "kuma.io/service": "x"}}]}, "networking.inbound[0]"),
        ({"restrictions": [{"tags": {"version": "*"}}]}, "networking.inbound[0]"),
        ({"restrictions": [{"tags": {"version": "v2"}}]}, None),
        (
            {"requirements": [{"tags": {"version": "v1"}}], "restrictions": [{"tags": {"kuma.io/service": "kv"}}]},
            "networking.inbound[0]",
        ),
    ],
)
def test_a_mesh_takes_the_dataplanes_that_its_constraints_fit(constraints: Any, problem: str | None) -> None:
    taking = made(yaml.safe_dump({"constraints": {"dataplaneProxy": constraints}}))
    finding = allowed(taking, dataplane("d", "10.0.0.1", "prod", inbound=[tagged("kv", 1000, version="v1")]))
    assert (finding and finding.path) == problem


def test_each_inbound_and_a_gateway_must_fit_the_constraints() -> None:
    taking = made("{constraints: {dataplaneProxy: {requirements: [{tags: {kuma.io/service: kv}}]}}}")
    several = dataplane("d", "10.0.0.1", "prod", inbound={"kv": 1000, "other": 2000})
    gateway = dataplane("g", "10.0.0.1", "prod", gateway={"tags": {"kuma.io/service": "edge"}})
    assert str(allowed(taking, several)) == (
        "OUT316 Dataplane prod/d networking.inbound[1]: not allowed to be a part of the mesh 'prod': "
        "its tags meet none of the requirements (kuma.io/service=kv)"
    )
    refused = allowed(taking, gateway)
    assert refused is not None
    assert refused.path == "networking.gateway"
    assert allowed(made("{}"), several) is None


def test_an_authority_is_what_its_mesh_trusts_and_those_of_the_control_plane_are_nobodys() -> None:
    kept = trust("prod", "prod", 0, 1)
    (fact,) = core.AUTHORITY.compile(kept, SCOPE)
    assert fact == Trust(kept.key, "prod", "prod", (kept.body["certificate"], kept.body["accepted"][0]))
    control = Resource(Key("outrig.internal", "Authority", "", "", "control"), body=kept.body)
    assert core.AUTHORITY.compile(control, SCOPE) == ()
    assert core.AUTHORITY not in core.KINDS  # no API serves it


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "must be an object with type, name and the content"),
        ({"name": "x"}, "type: cannot be empty"),
        ({"type": "Dataplan", "name": "x"}, "type: invalid type 'Dataplan' (did you mean 'Dataplane'?)"),
        ({"type": 1, "name": "x"}, "type: invalid type 1"),
        ({"type": "MeshRetry", "name": "x"}, "type: MeshRetry is not supported yet"),
        ({"type": "Mesh"}, "name: cannot be empty"),
        ({"type": "Mesh", "name": 7}, 'name: Invalid value: 7: must be a text; quote it: "7"'),
        (
            {"type": "Mesh", "name": "x", "labels": {"a b": "c", "d": 1}},
            'labels["a b"]: Invalid value: "a b": must be a label key',
        ),
        ({"type": "Mesh", "name": "x", "labels": []}, "must be an object"),
        ({"type": "Zone", "name": "x", "mesh": "default"}, "mesh: a Zone is in no mesh"),
        ({"type": "Mesh", "name": "x", "mtsl": {}}, "mtsl: unknown field"),
        (
            {"type": "Dataplane", "name": "x", "networking": {"inbound": [{"tag": {}, "port": "a"}]}},
            "networking.inbound[0].tag: unknown field",
        ),
    ],
)
def test_a_document_that_describes_nothing_is_refused_with_its_place(document: Any, problem: str) -> None:
    if isinstance(document, dict) and document.get("labels") == []:
        document = {**document, "labels": ["x"]}
    with pytest.raises(InvalidDocument) as refused:
        read(document)
    assert any(problem in str(one) for one in refused.value.causes)


@pytest.mark.parametrize(
    ("type_", "name", "mesh", "problems"),
    [
        ("Mesh", "a" * 63, "", []),
        ("Mesh", "a" * 64, "", ["name: must have at most 63 characters, and has 64"]),
        ("Mesh", "A", "", ["name: invalid characters"]),
        ("Dataplane", "a" * 253, "default", []),
        ("Dataplane", "a" * 254, "default", ["name: must have at most 253 characters, and has 254"]),
        ("Dataplane", "kv_1", "default", ["name: invalid characters"]),
        ("Secret", "-kv", "b" * 70, ["name: invalid characters", "mesh: must have at most 63 characters, and has 70"]),
        ("Zone", "Z", "", ["name: invalid characters"]),
    ],
)
def test_a_name_is_a_dns_name_and_that_of_a_mesh_a_short_one(
    type_: str, name: str, mesh: str, problems: list[str]
) -> None:
    draft = examine({"type": type_, "name": name, **({"mesh": mesh} if mesh else {})})
    found = [one for one in draft.findings if one.path in ("name", "mesh")]
    assert [f"{one.path}: {one.problem}" for one in found] == problems
    if "63" in "".join(problems):
        assert "the label kuma.io/mesh has it as its value" in found[-1].hint


def test_a_bad_envelope_hides_nothing_of_what_is_below() -> None:
    networking = {"address": "10.0.0.1", "inbound": [{"port": 0, "tags": {"a": "b"}, "prot": "http"}]}
    draft = examine({"type": "Dataplane", "name": "Kv", "labels": {"a b": "c"}, "networking": networking})
    assert [one.field for one in draft.causes] == ['labels["a b"]', "networking.inbound[0].prot"]
    assert [one.path for one in draft.findings] == [
        "name",
        "networking.inbound[0].port",
        'networking.inbound[0].tags["kuma.io/service"]',
    ]


def test_every_problem_of_a_document_is_told_once_in_the_order_of_its_fields() -> None:
    inbound = [
        {"port": "x", "tags": {"a/b": 1}},
        {"port": 99999, "servicePort": 700000, "tags": {"kuma.io/service": "a b"}},
    ]
    networking = {"gatway": {}, "inbound": inbound, "address": 1, "outbound": ["x"], "advertisedAddress": "no ip"}
    with pytest.raises(InvalidDocument) as refused:
        read({"type": "Dataplane", "networking": networking, "metrics": {}})
    assert [one.field for one in refused.value.causes] == [
        "networking.gatway",
        "networking.inbound[0].port",
        'networking.inbound[0].tags["a/b"]',
        'networking.inbound[0].tags["kuma.io/service"]',
        "networking.inbound[1].port",
        "networking.inbound[1].servicePort",
        'networking.inbound[1].tags["kuma.io/service"]',
        "networking.address",
        "networking.outbound[0]",
        "networking.advertisedAddress",
        "metrics",
        "name",
    ]


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ({"inbound": "none"}, ["networking.inbound"]),
        ({"inbound": [{"port": 80, "tags": "kv"}]}, ["networking.inbound[0].tags"]),
        (
            {"inbound": [{"port": 80, "tags": {"kuma.io/service": 1}}]},
            ['networking.inbound[0].tags["kuma.io/service"]'],
        ),
        ({"inbound": [{"port": [], "tags": {"kuma.io/service": "kv"}}]}, ["networking.inbound[0].port"]),
        ("none", ["networking"]),
    ],
)
def test_what_only_comes_of_a_wrong_type_is_not_told_beside_it(written: Any, fields: list[str]) -> None:
    networking = {"address": "10.0.0.1", **written} if isinstance(written, dict) else written
    draft = examine({"type": "Dataplane", "name": "kv", "networking": networking})
    assert [one.field for one in draft.problems({"networking": networking})] == fields


def test_what_the_control_plane_sets_may_be_sent_back_and_quoted_numbers_are_numbers() -> None:
    inbound = [{"port": "8080", "servicePort": 80, "tags": {"kuma.io/service": "kv"}}]
    networking = {"address": "10.0.0.1", "inbound": inbound}
    ours = {"creationTime": "2026-11-22T00:00:00Z", "modificationTime": "2026-11-22T00:00:00Z", "kri": "kri_dp"}
    resource = read({"type": "Dataplane", "name": "x", "labels": {"a": "b"}, "networking": networking, **ours})
    assert resource.key == Key("kuma.io", "Dataplane", "default", "", "x")
    assert resource.labels == {"a": "b"}
    assert resource.body == {"networking": networking}


def test_a_field_that_a_template_left_empty_is_absent() -> None:
    inbound = [{"port": 8080, "servicePort": 80, "name": None, "tags": {"kuma.io/service": "kv"}, "health": None}]
    networking = {"address": "10.0.0.1", "inbound": inbound, "outbound": None, "gateway": None}
    resource = read({"type": "Dataplane", "name": "x", "labels": None, "networking": networking})
    assert DATAPLANE.findings(resource) == ()
    assert len(DATAPLANE.compile(resource, SCOPE)) == 4
    assert MESH.findings(made("{mtls: {backends: }, constraints: }")) == ()


ANY = {"spiffeID": {"type": "Prefix", "value": "spiffe://default/"}, "sni": None}


@pytest.mark.parametrize(
    "document",
    [
        {
            "type": "MeshTrafficPermission",
            "spec": {
                "targetRef": {"kind": "Mesh", "name": None, "tags": None},
                "rules": None,
                "from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}],
            },
        },
        {
            "type": "MeshTrafficPermission",
            "spec": {"rules": [{"default": {"allow": [ANY], "deny": None}}], "from": None},
        },
        {"type": "Zone", "enabled": None},
        {"type": "Mesh", "mtls": {"backends": None}, "constraints": None},
    ],
)
def test_what_is_null_is_absent_in_every_kind(document: dict[str, Any]) -> None:
    draft = examine({**document, "name": "x"})
    assert [str(one) for one in draft.problems(document)] == []
