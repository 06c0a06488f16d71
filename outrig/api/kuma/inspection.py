"""What applies to a Dataplane: the permissions of each inbound, policies, the configuration its proxy is given; and
the other way round, the Dataplanes that a policy applies to.

In: resources. Out: documents. Permissions are shown as they were written, in the order of their precedence (the last to
speak last), where Kuma shows all combinations of tags that follow from them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.requests import Request

from outrig.api.kuma.catalog import id_of, mesh_key
from outrig.api.kuma.documents import kri, reference
from outrig.api.kuma.dumps import config_dump
from outrig.api.kuma.lists import in_order, listed, read_filter, read_page
from outrig.api.kuma.refusals import RETRIEVE, Refusal
from outrig.api.projection import stands_for
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import DATAPLANE, MESH_TRAFFIC_PERMISSION
from outrig.dialects.kuma.applicable import Guarded, guarded_inbounds
from outrig.dialects.kuma.dataplane_spec import Inbound
from outrig.dialects.kuma.mesh import enabled_backend
from outrig.dialects.kuma.overview import warnings_of
from outrig.dialects.kuma.tags import SERVICE
from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Store

RULES: Final = "_rules"
POLICIES: Final = "_policies"
CONFIG: Final = "_config"
DUMP: Final = "xds"
VIEWS: Final = (RULES, POLICIES, CONFIG, DUMP)
LIVE: Final = ("stats", "clusters")
"""Views that only a proxy itself could give."""
LATER: Final = ("_layout", "_inbounds", "_outbounds")
"""Views that there are not yet, by their first word."""

_KIND: Final = MESH_TRAFFIC_PERMISSION

Write = Callable[[Iterable[Resource]], list[dict[str, Any]]]


class Inspector(Protocol):
    """Knows what the proxies are given."""

    def config(self, workload: Key, *, proto_names: bool = False) -> Mapping[str, Mapping[str, Any]] | None:
        """Envoy resources by type and name, of the proxy of a Dataplane or WorkloadEntry; None: it has no proxy.

        `proto_names`: fields are spelt as in Envoy's own dumps.
        """
        ...


async def inspected(view: str, dataplane: Resource, store: Store, inspector: Inspector) -> dict[str, Any]:
    """One of the views. Raises Refusal (404) for a configuration that there is not, and for what is not asked for."""
    if view in LIVE:
        why = "what Envoy itself says is not asked for yet: _config and xds show what it was given"
        raise Refusal("NotFound", RETRIEVE, why)
    if view.partition("/")[0] in LATER:
        raise Refusal("NotFound", RETRIEVE, f"{view} is not supported yet: there are {', '.join(VIEWS)}, _overview")
    if view in (CONFIG, DUMP):
        config = inspector.config(stands_for(dataplane), proto_names=view == DUMP)
        if config is None:
            raise Refusal("NotFound", "Could not retrieve a configuration", "this Dataplane has no proxy in the mesh")
        return {"xds": config} if view == CONFIG else config_dump(config)
    guarded = await _guarded(store, dataplane)
    return _rules(dataplane, guarded, await _warnings(store, dataplane)) if view == RULES else _policies(guarded)


async def policy_dataplanes(request: Request, store: Store, policy: Resource) -> dict[str, Any]:
    """The Dataplanes that a policy applies to, as a list of references."""
    page, fits = read_page(request.query_params), read_filter(request.query_params, DATAPLANE)
    there = (await store.list(Query(kinds=(id_of(DATAPLANE),), mesh=policy.key.mesh))).items
    found = [one for one in there if fits(one) and _applies(policy, one)]
    return listed(request, in_order(found), page, lambda one: reference(one, DATAPLANE))


def _applies(policy: Resource, dataplane: Resource) -> bool:
    return any(guarded.permissions for guarded in guarded_inbounds(dataplane, [policy]))


async def _guarded(store: Store, dataplane: Resource) -> list[Guarded]:
    """The inbounds with their permissions; none of a task of a WorkloadGroup, which AuthorizationPolicies are for."""
    if stands_for(dataplane) != dataplane.key:
        return []
    permissions = (await store.list(Query(kinds=(id_of(_KIND),), mesh=dataplane.key.mesh))).items
    return guarded_inbounds(dataplane, permissions)


async def _warnings(store: Store, dataplane: Resource) -> list[str]:
    mesh = await store.get(mesh_key(dataplane.key.mesh))
    off = mesh is None or enabled_backend(mesh) is None
    told = [one for one in warnings_of(dataplane) if f" {_KIND.name} " in one]
    return ["they have no effect while mtls of the Mesh is off", *told] if off else told


def _rules(dataplane: Resource, guarded: Iterable[Guarded], warnings: Sequence[str]) -> dict[str, Any]:
    met = [one for one in guarded if one.permissions]
    rule = {
        "type": _KIND.name,
        "fromRules": _of_inbounds(met, _from_rules),
        "inboundRules": _of_inbounds(met, _inbound_rules),
        "toRules": [],
        "toResourceRules": [],
        "warnings": list(warnings),
    }
    return {"httpMatches": [], "resource": reference(dataplane, DATAPLANE), "rules": [rule] if met else []}


def _of_inbounds(guarded: Iterable[Guarded], written: Write) -> list[dict[str, Any]]:
    """The inbounds that have rules of a form, with these."""
    found = [(one, written(one.permissions)) for one in guarded]
    return [{"inbound": _inbound(one.inbound), "rules": rules} for one, rules in found if rules]


def _inbound(inbound: Inbound) -> dict[str, Any]:
    return {"name": inbound.name or str(inbound.port), "port": inbound.port, "tags": dict(inbound.labels)}


def _from_rules(permissions: Iterable[Resource]) -> list[dict[str, Any]]:
    return [
        {"matchers": _matchers(one.get("targetRef") or {}), "conf": one.get("default") or {}, "origin": [_origin(it)]}
        for it in permissions
        for one in it.spec.get("from") or ()
    ]


def _matchers(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    tags = {**(target.get("tags") or {}), **({SERVICE: target["name"]} if target.get("name") else {})}
    return [{"key": key, "value": value, "not": False} for key, value in sorted(tags.items())]


def _inbound_rules(permissions: Iterable[Resource]) -> list[dict[str, Any]]:
    return [
        {"conf": [rule.get("default") or {}], "origin": [{"resourceMeta": _origin(one), "ruleIndex": index}]}
        for one in permissions
        for index, rule in enumerate(one.spec.get("rules") or ())
    ]


def _origin(permission: Resource) -> dict[str, Any]:
    return reference(permission, _KIND)


def _policies(guarded: Iterable[Guarded]) -> dict[str, Any]:
    """Each policy that applies to some inbound, once, in the order of precedence."""
    met = {one.key: one for each in guarded for one in each.permissions}
    return {"policies": [_policy(one, _KIND) for one in met.values()]}


def _policy(policy: Resource, kind: Kind) -> dict[str, Any]:
    return {"kind": kind.name, "conf": policy.spec, "origins": [{"kri": kri(policy, kind)}]}
