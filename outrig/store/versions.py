"""What a write makes of a resource: the rules of uid, generation and revision, the same for every store.

In: what is stored and what is wanted. Out: the version to store. Refuses what the protocol refuses, with its errors.
Needs a clock and randomness for new resources, which are read here and nowhere else in the stores.
"""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from outrig.resources import Key, Resource
from outrig.store.documents import decode, encode, encode_managers, same_json
from outrig.store.protocol import AlreadyExists, Conflict, NotFound


def first_version(resource: Resource, revision: int) -> Resource:
    """A new resource as it is stored."""
    version = replace(resource, uid=str(uuid4()), generation=1, revision=revision, created=datetime.now(UTC))
    return _as_read(version)


def next_version(stored: Resource, wanted: Resource, revision: int) -> Resource | None:
    """What replaces the stored one, at that revision; None when the update changes nothing."""
    kept = replace(
        wanted, uid=stored.uid, created=stored.created, generation=stored.generation, revision=stored.revision
    )
    kept = _as_read(kept)
    if same_resource(kept, stored):
        return None
    grown = not same_json(kept.body, stored.body) or (kept.deleting is not None and stored.deleting is None)
    return replace(kept, generation=stored.generation + grown, revision=revision)


def last_version(stored: Resource, revision: int) -> Resource:
    """A removed resource as the change log shows it."""
    return replace(stored, revision=revision)


def same_resource(one: Resource, other: Resource) -> bool:
    """Whether two versions hold the same, values of JSON told apart by type."""
    return one == other and same_json([one.body, one.status], [other.body, other.status])


def _as_read(version: Resource) -> Resource:
    """The version as it comes back from a store."""
    return decode(version.key, encode(version), encode_managers(version))


def require_stored(stored: Resource | None, key: Key, *, uid: str = "", revision: int = 0) -> Resource:
    """The stored resource, if it is the one the caller means. Raises NotFound, Conflict."""
    if stored is None:
        raise NotFound(str(key), "there is no such resource")
    if uid and uid != stored.uid:
        raise Conflict(
            str(key), f"it has uid {stored.uid}, not {uid}: it was deleted and made anew", "read it again first"
        )
    if revision and revision != stored.revision:
        raise Conflict(
            str(key),
            f"it has changed since revision {revision} and is at {stored.revision}",
            "read it again and repeat your change",
        )
    return stored


def require_absent(stored: Resource | None, key: Key) -> None:
    """Raises AlreadyExists where there is one."""
    if stored is not None:
        raise AlreadyExists(str(key), "is there already", "update it, or choose another name")
