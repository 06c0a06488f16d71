"""The configuration of a proxy in the form of Envoy's own dump, which kumactl prints.

In: Envoy's resources by type and name, as the control plane gives them. Out: a ConfigDump. It says what the proxy was
given, so it has neither Envoy's bootstrap nor what Envoy refused.
Source: envoy/admin/v3/config_dump.proto, config_dump_shared.proto.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ADMIN: Final = "type.googleapis.com/envoy.admin.v3."
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Section:
    """How resources of a type stand in a dump: the message, its list, the field of an entry that holds the resource.

    `named`: entries have the resource's name too. `state`: the field between an entry and its resource.
    """

    message: str
    entries: str
    resource: str
    named: bool = False
    state: str = ""


_SECTIONS: Final = (
    ("config.cluster.v3.Cluster", _Section("ClustersConfigDump", "dynamic_active_clusters", "cluster")),
    (
        "config.listener.v3.Listener",
        _Section("ListenersConfigDump", "dynamic_listeners", "listener", named=True, state="active_state"),
    ),
    (
        "config.route.v3.RouteConfiguration",
        _Section("RoutesConfigDump", "dynamic_route_configs", "route_config"),
    ),
    (
        "config.endpoint.v3.ClusterLoadAssignment",
        _Section("EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"),
    ),
    ("config.core.v3.TypedExtensionConfig", _Section("EcdsConfigDump", "ecds_filters", "ecds_filter")),
    (
        "extensions.transport_sockets.tls.v3.Secret",
        _Section("SecretsConfigDump", "dynamic_active_secrets", "secret", named=True),
    ),
)


def config_dump(config: Mapping[str, Json]) -> dict[str, Any]:
    """The dump of a configuration."""
    return {"configs": list(_configs(config))}


def _configs(config: Mapping[str, Json]) -> Iterator[dict[str, Any]]:
    for name, section in _SECTIONS:
        url = f"type.googleapis.com/envoy.{name}"
        entries = [_entry(section, one, {"@type": url, **resource}) for one, resource in config.get(url, {}).items()]
        if entries:
            yield {"@type": _ADMIN + section.message, section.entries: entries}


def _entry(section: _Section, name: str, resource: Json) -> dict[str, Any]:
    held = {section.resource: resource}
    return {**({"name": name} if section.named else {}), **({section.state: held} if section.state else held)}
