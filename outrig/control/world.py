"""All meshes as every proxy should see them, kept up to date: the short cut from a change to what it reaches.

In: changes of resources. Out: for each proxy really affected the names that differ, and snapshots. A change
walks the index to the views it may touch; a view that stays equal is not rendered; a piece that is known is not
encoded; bytes that stay equal dirty nobody. Load assignments and trust bundles are shared and touch no view at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outrig.compile import Index, MeshIndex, Touched
from outrig.control.mesh_world import Marks, MeshWorld, differing
from outrig.dialects.kind import Kind
from outrig.envoy import Encodings
from outrig.errors import Finding
from outrig.resources import Key
from outrig.snapshot import ProxyId, Snapshot, TypeUrl
from outrig.store.protocol import Change, ChangeType

Dirty = Mapping[ProxyId, Mapping[TypeUrl, set[str]]]


@dataclass(frozen=True, slots=True)
class Work:
    """What was done since the start.

    `views`: inward sides decided, one a proxy; `outlooks`: outward sides decided, one for all proxies that share it;
    `renders`: sides rendered; `encodings`: messages encoded; `assignments`: load assignments gathered.
    """

    views: int
    outlooks: int
    renders: int
    encodings: int
    assignments: int


class World:
    """The meshes, their index, and what is encoded for the proxies that are there.

    A proxy is there as long as its workload is, healthy or not; its id is the workload's.
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._index = Index(kinds)
        self._encodings = Encodings()
        self._meshes: dict[str, MeshWorld] = {}
        self._doubtful: set[ProxyId] = set()

    @property
    def work(self) -> Work:
        """Counters, for those who want to know what a change cost."""
        meshes = self._meshes.values()
        return Work(
            views=sum(mesh.views for mesh in meshes),
            outlooks=sum(mesh.outlooks for mesh in meshes),
            renders=sum(mesh.renders for mesh in meshes),
            encodings=self._encodings.count,
            assignments=sum(mesh.assignments for mesh in meshes),
        )

    def apply(self, changes: Sequence[Change]) -> Dirty:
        """Take the changes in, in order; gives the names that differ now, by proxy and type.

        A proxy that came or went is there with all its names.
        """
        now = {c.resource.key: None if c.type is ChangeType.DELETED else c.resource for c in changes}
        return self._follow(self._index.apply(now))

    def proxies(self) -> list[ProxyId]:
        """The proxies that are there."""
        return [proxy for mesh in self._meshes.values() for proxy in mesh.proxies]

    def findings(self, proxy: ProxyId) -> tuple[Finding, ...]:
        """What is doubtful about a proxy's listeners; nothing for an unknown proxy."""
        mesh = self._mesh_with(proxy)
        return mesh.findings(proxy) if mesh else ()

    def take_doubtful(self) -> set[ProxyId]:
        """The proxies whose findings may differ since this was asked last: they can where no byte does."""
        doubtful, self._doubtful = self._doubtful, set()
        return doubtful

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        """What a proxy should have; None if it is not known. To be read at once: the next change may alter it."""
        mesh = self._mesh_with(proxy)
        return mesh.snapshot(proxy) if mesh else None

    def mesh_of(self, origin: Key) -> MeshIndex:
        """The mesh that a resource belongs to, as its proxies are told it. To be read at once."""
        return self._index.mesh_of(origin)

    def _mesh_with(self, proxy: ProxyId) -> MeshWorld | None:
        return next((mesh for mesh in self._meshes.values() if proxy in mesh.proxies), None)

    def _follow(self, touched: Mapping[str, Touched]) -> Dirty:
        marks = Marks()
        for name, what in touched.items():
            if name not in self._meshes:
                self._meshes[name] = MeshWorld(self._index.mesh(name), self._encodings)
            self._meshes[name].follow(what, marks)
        for proxy, before in marks.left.items():
            self._compare_moved(proxy, before, marks)
        self._doubtful |= marks.doubtful
        return marks.dirty

    def _compare_moved(self, proxy: ProxyId, before: Snapshot, marks: Marks) -> None:
        """A proxy that left one mesh and is in another now: what both give it is no difference."""
        now = self.snapshot(proxy)
        if now is not None:
            marks.dirty.pop(proxy, None)
            for type_url, some in now.items():
                marks.add(proxy, type_url, differing(before[type_url], some))
