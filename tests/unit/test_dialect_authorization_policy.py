"""AuthorizationPolicy: whom and what its fields mean, where it reaches, and what is refused, all at once."""

from dataclasses import replace

import pytest

from outrig.dialects.kind import Scope
from outrig.model import Access, Action, Policy, Selector
from outrig.model.conditions import (
    ALWAYS,
    AllOf,
    AnyOf,
    Condition,
    Form,
    Header,
    Identity,
    Network,
    Not,
    Path,
    Port,
    ServerName,
    Text,
    exactly,
)
from outrig.resources import Resource
from tests.unit.dialect_making import KINDS, NOON, cells, facts, resource, said, schema_problems

CONVERSE = Scope(mesh_of=lambda _: "eu", trust_domain=lambda _: "corp.example")


def text(spec: str, *, namespace: str = "shop") -> str:
    return (
        "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, "
        f"metadata: {{name: p, namespace: {namespace}}}, spec: {{{spec}}}}}"
    )


def made(spec: str, **more: str) -> Resource:
    return resource(text(spec, **more), created=NOON)


def policy(spec: str, **more: str) -> Policy[Access]:
    (fact,) = facts(made(spec, **more))
    assert isinstance(fact, Policy)
    assert isinstance(fact.settings, Access)
    return fact


def uri(form: Form, value: str) -> Identity:
    return Identity(Text(form, value))


def callers(source: str) -> Condition:
    """What a source says of callers."""
    spec = f"rules: [{{from: [{{source: {{{source}}}}}]}}]"
    assert said(made(spec)) == []
    (rule,) = policy(spec).settings.rules
    assert rule.calls == ALWAYS
    return rule.callers


def calls(operation: str) -> Condition:
    """What an operation says of calls."""
    spec = f"rules: [{{to: [{{operation: {{{operation}}}}}]}}]"
    assert said(made(spec)) == []
    (rule,) = policy(spec).settings.rules
    assert rule.callers == ALWAYS
    return rule.calls


@pytest.mark.parametrize(
    ("spec", "namespace", "reach"),
    [
        ("", "shop", Selector("shop")),
        ("selector: {matchLabels: {app: web}}", "shop", Selector("shop", (("app", "web"),))),
        ("", "istio-system", Selector(None)),
        ("selector: {matchLabels: {app: web}}", "istio-system", Selector(None, (("app", "web"),))),
    ],
)
def test_it_reaches_workloads_a_namespace_or_all(spec: str, namespace: str, reach: Selector) -> None:
    assert policy(spec, namespace=namespace).applies_to == reach


def test_an_empty_spec_allows_nothing_and_an_empty_rule_everything() -> None:
    assert policy("").settings == Access((), exclusive=True)
    (rule,) = policy("rules: [{}]").settings.rules
    assert (rule.name, rule.action, rule.callers, rule.calls) == (
        "ns[shop]-policy[p]-rule[0]", Action.ALLOW, ALWAYS, ALWAYS,
    )  # fmt: skip
    deny = policy("action: DENY, rules: [{}]").settings
    assert (deny.exclusive, deny.rules[0].action) == (False, Action.DENY)


@pytest.mark.parametrize(
    ("source", "condition"),
    [
        (
            "principals: [cluster.local/ns/shop/sa/web]",
            uri(Form.EXACT, "spiffe://cluster.local/ns/shop/sa/web"),
        ),
        ("principals: [default/kv]", uri(Form.EXACT, "spiffe://default/kv")),
        ("principals: ['cluster.local/ns/shop/*']", uri(Form.PREFIX, "spiffe://cluster.local/ns/shop/")),
        ("principals: ['*/sa/web']", uri(Form.PATTERN, r"spiffe://.*/sa/web")),
        ("principals: ['*']", uri(Form.PREFIX, "spiffe://")),
        ("notPrincipals: [default/kv]", Not(uri(Form.EXACT, "spiffe://default/kv"))),
        ("namespaces: [shop]", uri(Form.PREFIX, "spiffe://cluster.local/ns/shop/sa/")),
        ("namespaces: ['shop-*']", uri(Form.PREFIX, "spiffe://cluster.local/ns/shop-")),
        (
            "namespaces: ['*-eu']",
            AllOf((uri(Form.PREFIX, "spiffe://cluster.local/ns/"), uri(Form.CONTAINS, "-eu/sa/"))),
        ),
        (
            "namespaces: [kuma-default]",
            AnyOf(
                (
                    uri(Form.PREFIX, "spiffe://cluster.local/ns/kuma-default/sa/"),
                    uri(Form.PREFIX, "kuma://kuma.io/service/"),
                )
            ),
        ),
        ("serviceAccounts: [web]", uri(Form.EXACT, "spiffe://cluster.local/ns/shop/sa/web")),
        ("serviceAccounts: [bank/web]", uri(Form.EXACT, "spiffe://cluster.local/ns/bank/sa/web")),
        ("ipBlocks: [10.0.0.0/8, 1.2.3.4]", AnyOf((Network("10.0.0.0/8"), Network("1.2.3.4/32")))),
        ("ipBlocks: ['::1']", Network("::1/128")),
        (
            "principals: [default/kv], notIpBlocks: [10.0.0.0/8]",
            AllOf((uri(Form.EXACT, "spiffe://default/kv"), Not(Network("10.0.0.0/8")))),
        ),
    ],
)
def test_callers_are_named_by_identity_namespace_account_and_address(source: str, condition: Condition) -> None:
    assert callers(source) == condition


def test_the_local_trust_domain_is_also_called_cluster_local_and_a_mesh_by_its_namespace() -> None:
    kind = KINDS["security.istio.io", "AuthorizationPolicy"]

    def told(source: str) -> Condition:
        (fact,) = kind.compile(made(f"rules: [{{from: [{{source: {{{source}}}}}]}}]"), CONVERSE)
        assert isinstance(fact, Policy)
        assert isinstance(fact.settings, Access)
        return fact.settings.rules[0].callers

    assert told("principals: [cluster.local/ns/a/sa/b]") == uri(Form.EXACT, "spiffe://corp.example/ns/a/sa/b")
    assert uri(Form.PREFIX, "kuma://kuma.io/service/") in told("namespaces: [kuma-eu]").parts  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spelling", "identity", "fits"),
    [
        ("namespaces: [shop]", "spiffe://cluster.local/ns/shop/sa/web", True),
        ("namespaces: [shop]", "spiffe://cluster.local/ns/shopping/sa/web", False),
        ("namespaces: [shop]", "spiffe://cluster.local/ns/a/sa/shop", False),
        ("namespaces: [kuma-default]", "kuma://kuma.io/service/kv", True),
        ("namespaces: [kuma-default]", "spiffe://cluster.local/ns/shop/sa/web", False),
        ("namespaces: [kuma-other]", "kuma://kuma.io/service/kv", False),
        ("principals: ['*kv']", "kuma://kuma.io/service/kv", False),
        ("principals: ['*']", "kuma://kuma.io/service/kv", False),
    ],
)
def test_an_identity_fits_or_does_not(spelling: str, identity: str, fits: bool) -> None:
    found = callers(spelling)
    tests = found.parts if isinstance(found, AnyOf) else (found,)
    assert any(isinstance(one, Identity) and one.uri.fits(identity) for one in tests) == fits


@pytest.mark.parametrize(
    ("operation", "condition"),
    [
        ("methods: [GET, 'P*']", AnyOf((Header(":method", exactly("GET")), Header(":method", Text(Form.PREFIX, "P"))))),
        ("notMethods: [GET]", Not(Header(":method", exactly("GET")))),
        ("paths: [/a, '/b*']", AnyOf((Path(exactly("/a")), Path(Text(Form.PREFIX, "/b"))))),
        ("paths: ['*/c']", Path(Text(Form.SUFFIX, "/c"))),
        ("paths: ['/a/{*}/b/{**}']", Path(Text(Form.PATTERN, "/a/[^/]+/b/.*"))),
        ("ports: ['80', '443']", AnyOf((Port(80), Port(443)))),
        ("notPorts: ['80']", Not(Port(80))),
        ("hosts: ['*']", Header(":authority", Text(Form.PRESENT))),
    ],
)
def test_calls_are_told_apart_by_method_path_port_and_host(operation: str, condition: Condition) -> None:
    assert calls(operation) == condition


@pytest.mark.parametrize(
    ("host", "fitting", "others"),
    [
        ("a.b", ["a.b", "A.b", "a.b:80"], ["xa.b", "a.bc"]),
        ("a.b:80", ["a.b:80"], ["a.b", "a.b:81"]),
        ("*.b", ["a.b", "a.A.B:80"], ["b", "a.b.c"]),
        ("a*", ["a.b", "a:80"], ["ba"]),
    ],
)
def test_hosts_are_compared_in_any_case_and_without_their_port(
    host: str, fitting: list[str], others: list[str]
) -> None:
    found = calls(f"hosts: ['{host}']")
    tests = found.parts if isinstance(found, AnyOf) else (found,)
    values = [one.value for one in tests if isinstance(one, Header) and one.name == ":authority"]
    assert all(any(value.fits(one) for value in values) for one in fitting)
    assert not any(value.fits(one) for one in others for value in values)


def test_conditions_join_what_they_are_about() -> None:
    keys = {
        "source.ip": "10.0.0.0/8",
        "source.principal": "default/kv",
        "source.namespace": "shop",
        "source.serviceAccount": "web",
        "destination.port": "80",
        "request.headers[X-Who]": "me",
        "connection.sni": "a.b",
    }
    when = ", ".join(f"{{key: '{key}', values: ['{value}']}}" for key, value in keys.items())
    (rule,) = policy(f"rules: [{{when: [{when}, {{key: 'request.headers[x]', notValues: ['*']}}]}}]").settings.rules
    assert rule.callers == AllOf(
        (
            Network("10.0.0.0/8"),
            uri(Form.EXACT, "spiffe://default/kv"),
            uri(Form.PREFIX, "spiffe://cluster.local/ns/shop/sa/"),
            uri(Form.EXACT, "spiffe://cluster.local/ns/shop/sa/web"),
        )
    )
    assert rule.calls == AllOf(
        (Port(80), Header("x-who", exactly("me")), ServerName(exactly("a.b")), Not(Header("x", Text(Form.PRESENT))))
    )


def test_a_dry_run_is_only_rehearsed() -> None:
    annotated = replace(made("rules: [{}]"), annotations={"istio.io/dry-run": "true"})
    (fact,) = facts(annotated)
    assert isinstance(fact, Policy)
    assert fact.settings.rehearsed is True  # type: ignore[union-attr]
    assert said(replace(annotated, annotations={"istio.io/dry-run": "yes"})) == [
        "warning OUT302 metadata.annotations[istio.io/dry-run]: 'yes' has no effect (write true, or leave it out)"
    ]


def test_all_that_is_wrong_is_said_at_once_and_where() -> None:
    wrong = """
        action: CUSTOM, provider: {name: x}, targetRefs: [{kind: Gateway}], rules: [
          {from: [{source: {}},
                  {source: {principals: [spiffe://a/b, alone, 'a*b'], remoteIpBlocks: [10.0.0.0/8]}},
                  {source: {requestPrincipals: [x], ipBlocks: [ten], namespaces: [Shop]}},
                  {source: {serviceAccounts: ['*'], namespaces: [shop]}}],
           to: [{operation: {}}, {operation: {ports: ['0'], methods: [get], paths: [admin, '/{x}'], hosts: ['*a*']}}],
           when: [{key: source.ip}, {key: source.prinzipal, values: [x]}, {key: 'request.auth.claims[x]', values: [x]},
                  {key: connection.sni, values: [a]}]}]"""
    assert said(made(" ".join(wrong.split()))) == [
        "error OUT301 spec.action: CUSTOM is not supported yet (use ALLOW or DENY)",
        "error OUT301 spec.provider: providers are not supported yet",
        "error OUT301 spec.targetRefs: targets are not supported yet (use spec.selector)",
        "error OUT304 spec.rules[0].from[0].source: is empty, so it says nothing (leave out source)",
        "error OUT303 spec.rules[0].from[1].source.principals[0]: 'spiffe://a/b' begins with spiffe://, which "
        "principals leave out (a/b)",
        "error OUT303 spec.rules[0].from[1].source.principals[1]: 'alone' is no identity (write "
        "TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or MESH/SERVICE for a Dataplane)",
        "error OUT303 spec.rules[0].from[1].source.principals[2]: 'a*b' has a * in its middle, where it would be "
        "compared as it is (a * may begin or end it)",
        "error OUT301 spec.rules[0].from[1].source.remoteIpBlocks: is not supported yet (no header that names an "
        "address is trusted; ipBlocks compares that of the connection)",
        "error OUT301 spec.rules[0].from[2].source.requestPrincipals: is not supported yet (requests carry no token "
        "that a proxy checks)",
        "error OUT303 spec.rules[0].from[2].source.namespaces[0]: 'Shop' is no name of a namespace",
        "error OUT303 spec.rules[0].from[2].source.ipBlocks[0]: 'ten' is no IP address or CIDR block",
        "error OUT303 spec.rules[0].from[3].source.serviceAccounts[0]: '*' is no service account (write "
        "NAMESPACE/NAME, or NAME; there is no *)",
        "error OUT303 spec.rules[0].from[3].source.serviceAccounts: cannot stand beside principals or namespaces "
        "(write NAMESPACE/NAME)",
        "error OUT304 spec.rules[0].to[0].operation: is empty, so it says nothing (leave out operation)",
        "error OUT303 spec.rules[0].to[1].operation.hosts[0]: '*a*' has a * at both ends (only one end can be left "
        "open)",
        "error OUT303 spec.rules[0].to[1].operation.ports[0]: '0' is no port number from 1 to 65535",
        "error OUT303 spec.rules[0].to[1].operation.methods[0]: 'get' is in lower case, as no method is (GET)",
        "error OUT303 spec.rules[0].to[1].operation.paths[0]: 'admin' does not begin with /, as every path does "
        "(/admin)",
        "error OUT303 spec.rules[0].to[1].operation.paths[1]: '/{x}' is no template of a path (write {*} for a whole "
        "segment, {**} for all the rest at the end)",
        "error OUT304 spec.rules[0].when[0]: has neither values nor notValues",
        "error OUT303 spec.rules[0].when[1].key: 'source.prinzipal' is no key (did you mean 'source.principal'?)",
        "error OUT301 spec.rules[0].when[2].key: 'request.auth.claims[x]' is not supported yet",
        "warning OUT311 spec.rules[0].when[3].key: calls of the mesh name no server: it can only fit an application's "
        "own TLS on a permissive port",
    ]


def test_what_is_left_open_at_its_beginning_or_inside_is_short() -> None:
    """Proxies take no long regular expression; the rest of the values needs none."""
    longest, too_long = "x" * 79, "x" * 80
    callers(f"principals: ['*{longest}']")
    calls(f"paths: ['/{longest[4:]}/{{*}}']")
    sources, operations = f"source: {{principals: ['*{too_long}']}}", f"operation: {{paths: ['/{too_long}/{{*}}']}}"
    problems = said(made(f"rules: [{{from: [{{{sources}}}], to: [{{{operations}}}]}}]"))
    assert [one.partition(": ")[0] for one in problems] == [
        "error OUT303 spec.rules[0].from[0].source.principals[0]",
        "error OUT303 spec.rules[0].to[0].operation.paths[0]",
    ]
    assert all("is too long" in one for one in problems)


def test_a_denial_needs_a_rule() -> None:
    assert said(made("action: DENY")) == [
        "error OUT304 spec.rules: a DENY without rules denies nothing (add {} to deny everything)"
    ]


def test_unknown_fields_and_numbers_without_quotes_are_refused() -> None:
    assert schema_problems(text("rules: [{from: [{source: {principal: [x]}}]}]")) == [
        "spec.rules.0.from.0.source.principal: Extra inputs are not permitted"
    ]
    assert schema_problems(text("rules: [{to: [{operation: {ports: [80]}}]}]")) == [
        'spec.rules.0.to.0.operation.ports.0: must be text: quote it ("80")'
    ]


def test_the_table_shows_the_action() -> None:
    assert [cells(made(spec))[0] for spec in ("", "action: DENY, rules: [{}]")] == ["ALLOW", "DENY"]
