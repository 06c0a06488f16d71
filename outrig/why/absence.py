"""Why a host is not behind a listener: the services it could mean, and what keeps each of them away.

Asked is always what decides the configuration itself: `view.imports` and `view.names`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from outrig.errors import did_you_mean
from outrig.model import Egress, Import, Service
from outrig.view import Outbound
from outrig.view.imports import imported, imports_of, visible
from outrig.view.outbound import DEFAULT_BIND
from outrig.why.caller import Caller
from outrig.why.hosts import match_domain, names_of
from outrig.why.knowledge import Known
from outrig.why.outbounds import Door, directions, doors_of
from outrig.why.question import Call, in_brackets

_ALL = Import("*", "*")


@dataclass(frozen=True, slots=True)
class Absence:
    """Why something is not there, a line each, and what to do."""

    notes: tuple[str, ...]
    do: str


def why_not_on_port(call: Call, caller: Caller, known: Known) -> Absence:
    """Why no listener has the port of a call."""
    if caller.speaks_for_itself:
        return _by_address(call, caller, known)
    return _explained(call, caller, known, egresses=tuple(enumerate(caller.shape.egress)))


def why_not_on_listener(call: Call, listener: Outbound, caller: Caller, *, known: Known) -> Absence:
    """Why a listener does not lead to the host of a call."""
    return _explained(call, caller, known, egresses=tuple(behind(listener, caller)))


def why_to_another(call: Call, door: Door, caller: Caller, *, known: Known) -> Absence:
    """Why a listener that leads to one service does not lead to the host of a call."""
    note = f"all that is called there goes to {door.service}: the name {call.host!r} does not matter"
    meant = [one for one in doors_of(caller, known) if call.host in one.names]
    return Absence((note,), f"call {meant[0].called(call)}" if meant else _by_address(call, caller, known).do)


def behind(listener: Outbound, caller: Caller) -> Iterator[tuple[int, Egress]]:
    """The egresses that a listener may be made of."""
    for position, egress in enumerate(caller.shape.egress):
        if (egress.bind or DEFAULT_BIND) == listener.bind and egress.port in (None, listener.port):
            yield position, egress


def _by_address(call: Call, caller: Caller, known: Known) -> Absence:
    """Where each listener leads to one service, and no name to a listener."""
    doors = doors_of(caller, known)
    notes = (f"calls go by address: {directions(doors)}",) if doors else ()
    if meant := next((door for door in doors if call.host in door.names), None):
        return Absence(notes, f"call {meant.called(call)}")
    services = sorted(known.mesh.services_for(_ALL), key=lambda one: (one.origin, one.host))
    meaning = (one.host for one in services if call.host in (*names_of(one, one.namespace), one.origin.name))
    if host := next(meaning, None):
        return Absence((*notes, f"no outbound leads to {host}"), f"give {caller.sidecar} an outbound for it")
    names = {name for door in doors for name in door.names}
    return Absence((*notes, f"no outbound leads to {call.host!r}"), did_you_mean(call.host, names))


def _explained(call: Call, caller: Caller, known: Known, *, egresses: tuple[tuple[int, Egress], ...]) -> Absence:
    services = sorted(
        known.mesh.services_for(_ALL), key=lambda one: (one.namespace != caller.home, one.host, one.origin)
    )
    meant = [service for service in services if match_domain(in_brackets(call.host), names_of(service, caller.home))]
    if not meant:
        return _unknown(call.host, services, caller.home)
    kept_away = [_why_away(service, call.port, caller, known=known, egresses=egresses) for service in meant]
    return Absence(tuple(note for one in kept_away for note in one.notes), kept_away[0].do)


def _unknown(host: str, services: Iterable[Service], home: str) -> Absence:
    """No service has that name here."""
    elsewhere = [one for one in services if match_domain(host, names_of(one, one.namespace))]
    if elsewhere:
        spaces = ", ".join(sorted(one.namespace for one in elsewhere))
        note = f"{host!r} alone means a service of the caller's own namespace, {home}, which has none; {spaces} has"
        return Absence((note,), f"call {host}.{sorted(one.namespace for one in elsewhere)[0]}")
    note = f"no service of the mesh is called {host!r}"
    known = {name for one in services if visible(one, home) for name in names_of(one, home) if not name.endswith(".")}
    return Absence((note,), did_you_mean(host, known))


def _why_away(
    service: Service, port: int, caller: Caller, *, known: Known, egresses: tuple[tuple[int, Egress], ...]
) -> Absence:
    """What keeps one service away."""
    if not visible(service, caller.home):
        to = ", ".join(service.exported_to) or "nobody"
        field = "annotation networking.istio.io/exportTo" if service.origin.kind == "Service" else "exportTo"
        return Absence(
            (f"{service.origin} is exported to {to}, and not to namespace {caller.home}",),
            f"add {caller.home} to its {field}",
        )
    kept, hiding = _who_has_it(service, caller, known)
    if hiding is not None:
        note = f"{service.origin} is hidden: {hiding.origin} has the host {service.host} on this proxy"
        return Absence((note,), "import only the namespace of the one that is meant")
    if not any(position in kept for position, _ in egresses):
        return _not_imported(service, port, caller, kept=kept, egresses=egresses)
    return _wrong_port(service, port, caller) or _not_listening(service, caller)


def _who_has_it(service: Service, caller: Caller, known: Known) -> tuple[list[int], Service | None]:
    """The egresses that import a service, and who hides it from all that would."""
    first_come: dict[str, Service] = {}
    kept, hiding = [], None
    for position, egress in enumerate(caller.shape.egress):
        services, hidden = imported(egress, caller.home, known.mesh, known=first_come)
        if service in services:
            kept.append(position)
        elif service in hidden:
            hiding = first_come[service.host]
    return kept, None if kept else hiding


def _not_imported(
    service: Service, port: int, caller: Caller, *, kept: list[int], egresses: tuple[tuple[int, Egress], ...]
) -> Absence:
    wanted = f"{service.namespace}/{service.host}"
    if kept:
        places = ", ".join(f"egress[{position}]" for position in kept)
        return Absence(
            (f"{service.origin} is imported by {places} of {caller.sidecar} only",),
            f"connect to the bind of {places}, or add {wanted} to the hosts of this listener",
        )
    if taken_away := _excluded(service, caller):
        note = f"{service.origin} is taken away again by {taken_away} of {caller.sidecar}"
        return Absence((note,), "remove that exclusion")
    hosts = "; ".join(f"egress[{n}] imports {_patterns(egress)}" for n, egress in egresses)
    note = f"{service.origin} is not imported by {caller.sidecar}: {hosts or 'it has no egress'}"
    has = ", ".join(str(one.number) for one in service.ports)
    hint = "" if any(one.number == port for one in service.ports) else f", and call one of its ports: {has}"
    return Absence((note,), f"add {wanted} to the hosts of an egress{hint}")


def _excluded(service: Service, caller: Caller) -> str:
    for position, egress in enumerate(caller.shape.egress):
        for wanted in imports_of(egress, caller.home):
            if wanted.exclude and wanted.fits(service.namespace, service.host):
                return f"'~{wanted.namespace}/{wanted.host}' in egress[{position}]".replace("~*/", "~/")
    return ""


def _wrong_port(service: Service, port: int, caller: Caller) -> Absence | None:
    """A service without that port; or one that nobody listens for there, whose listeners have other ports."""
    numbers = [one.number for one in service.ports]
    if port in numbers:
        return None
    listed = ", ".join(map(str, numbers)) or "none"
    listening = sorted({one.port for one in caller.view.outward.listeners} & set(numbers))
    do = f"call port {listening[0]}" if listening else f"import it at one of its ports: {listed}"
    return Absence((f"{service.host} has no port {port}; its ports: {listed}",), do)


def _not_listening(service: Service, caller: Caller) -> Absence:
    """It is imported, and has the port, and yet is not there: the findings of the view say why."""
    found = caller.view.outward.findings
    telling = [one for one in found if service.host in one.problem] or [
        one for one in found if "taken by" in one.problem
    ]
    if telling:
        return Absence(tuple(f"{one.code} {one.path}: {one.problem}" for one in telling), telling[0].hint)
    ports = ", ".join(sorted({one.listener for one in caller.view.outward.listeners})) or "nowhere"
    note = f"{service.origin} is imported, but at another port: the proxy listens at {ports}"
    return Absence((note,), "give the egress that port, or call the port it has")


def _patterns(egress: Egress) -> str:
    return ", ".join(f"{'~' if one.exclude else ''}{one.namespace}/{one.host}" for one in egress.imports)
