"""Messages into bytes, each piece once.

A piece (a part of a view) that several proxies have is encoded for the first of them; equal bytes are one `Encoded`.
What no snapshot holds any longer is forgotten by itself.
"""

from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from outrig.envoy import api
from outrig.snapshot import Encoded, version_of


class Encodings:
    """What has been encoded and is still in use. `count`: how many messages were built and serialised so far."""

    def __init__(self) -> None:
        self.count = 0
        self._by_piece: WeakValueDictionary[Hashable, Encoded] = WeakValueDictionary()
        self._by_body: WeakValueDictionary[bytes, Encoded] = WeakValueDictionary()

    @property
    def held(self) -> int:
        """How many different encodings somebody still holds."""
        return len(self._by_body)

    def of(self, piece: Hashable, build: Callable[[], api.Message]) -> Encoded:
        """The encoding of a piece. `build` must depend on nothing but the piece."""
        known = self._by_piece.get(piece)
        if known is None:
            self.count += 1
            fresh = encode(build())
            known = self._by_piece[piece] = self._by_body.setdefault(fresh.body, fresh)
        return known


def encode(message: api.Message) -> Encoded:
    """A message with a name (a load assignment: a cluster's name), ready for the wire."""
    content = api.packed(message)
    name = message.cluster_name if isinstance(message, api.ClusterLoadAssignment) else message.name
    version = version_of(content.value)
    body = api.Resource(name=name, version=version, resource=content).SerializeToString(deterministic=True)
    return Encoded(name, version, body)
