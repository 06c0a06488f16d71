"""The xDS messages that we build, from `xds-protos`, which has no type stubs: imported here and nowhere else.

Only outer messages have names here. Those inside are given as dicts, which protobuf checks as strictly.
"""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import Policy as RbacPolicy
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter as CelFilter
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog
from envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac  # noqa: N811 - a message, no constant
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac  # noqa: N811 - likewise
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig as PreviousPriorities,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.service.discovery.v3.discovery_pb2 import Resource
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

__all__ = [
    "Address",
    "Any",
    "CelFilter",
    "Cluster",
    "ClusterLoadAssignment",
    "DnsCluster",
    "DownstreamTlsContext",
    "HttpConnectionManager",
    "HttpProtocolOptions",
    "HttpRbac",
    "Listener",
    "Message",
    "NetworkRbac",
    "PreviousHostsPredicate",
    "PreviousPriorities",
    "RawBuffer",
    "RbacPolicy",
    "Resource",
    "RouteConfiguration",
    "Router",
    "Secret",
    "StdoutAccessLog",
    "Struct",
    "TcpProxy",
    "TlsInspector",
    "TypedExtensionConfig",
    "UpstreamTlsContext",
    "packed",
]


def packed(message: Message) -> Any:
    """The message as an `Any`; equal messages give equal bytes."""
    holder = Any()
    holder.Pack(message, deterministic=True)
    return holder
