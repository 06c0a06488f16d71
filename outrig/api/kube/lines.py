"""Events of watches as lines of JSON, each written once for all who are sent it.

In: what happened, the form in which a client wants it, the time. Out: bytes. Those written last are kept, for whoever
watches the same in the same form is about to ask for them.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from outrig.api.kube.catalog import Target
from outrig.api.kube.forms import Form, one
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType

KEPT_BYTES: Final = 2 * 1024 * 1024
END_OF_INITIAL_EVENTS: Final = {"k8s.io/initial-events-end": "true"}


def line_of(type_: str, document: Any) -> bytes:
    """One event of a stream (meta/v1 WatchEvent)."""
    return json.dumps({"type": type_, "object": document}, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Writes events. Ages in tables are as of this second."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[object, tuple[Resource, bytes]] = {}
        self._bytes = 0

    def change(self, change: Change, target: Target, *, form: Form, columns: bool) -> bytes:
        """The line of a change. `columns`: whether a table is to say which columns it has."""
        when = self._now().replace(microsecond=0)
        name = (change.type, change.resource.key, change.revision, target.version, form, columns, form.table and when)
        resource, line = self._kept.get(name, (None, b""))
        if resource != change.resource:  # of a role that gathers rules, other roles decide what is shown
            line = _written(change, target, form=form, when=when, columns=columns)
            self._keep(name, change.resource, line)
        return line

    def bookmark(
        self, revision: int, target: Target, *, form: Form, columns: bool, ends_initial: bool = False
    ) -> bytes:
        """The line that tells how far a watch is, as an object that is empty but for that."""
        empty = Key(target.kind.group, target.kind.name, "", "", "")
        said = END_OF_INITIAL_EVENTS if ends_initial else {}
        mark = Change(ChangeType.BOOKMARK, Resource(empty, revision=revision, annotations=said))
        return _written(mark, target, form=form, when=self._now(), columns=columns)

    def _keep(self, name: object, resource: Resource, line: bytes) -> None:
        _, outdated = self._kept.pop(name, (None, b""))
        self._kept[name] = resource, line
        self._bytes += len(line) - len(outdated)
        while self._bytes > KEPT_BYTES:
            _, oldest = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(oldest)


def _written(change: Change, target: Target, *, form: Form, when: datetime, columns: bool) -> bytes:
    shown = one(change.resource, target, form, when)
    if form.table and not columns:
        shown["columnDefinitions"] = None
    return line_of(change.type, shown)
