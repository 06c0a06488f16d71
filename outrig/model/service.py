"""A service: a host that callers know, its ports, and the workloads behind it."""

from dataclasses import dataclass

from outrig.model.labels import Selector
from outrig.model.protocol import Protocol
from outrig.resources import Key


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service. `target` is the workload's port: a number, or the name of one of its named ports."""

    number: int
    name: str
    protocol: Protocol
    target: int | str


@dataclass(frozen=True, slots=True)
class Service:
    """A service of one namespace.

    `names` are the other names under which every caller knows it (`ratings.bookinfo`, `ratings.bookinfo.svc`, its
    addresses); `local_names` only callers of its own namespace (`ratings`). `selector` None: no workload is ever
    behind it. `exported_to` holds namespaces, or `*`.
    """

    origin: Key
    namespace: str
    host: str
    ports: tuple[ServicePort, ...]
    selector: Selector | None
    names: tuple[str, ...] = ()
    local_names: tuple[str, ...] = ()
    exported_to: tuple[str, ...] = ("*",)
