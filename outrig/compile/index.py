"""Resources to facts to meshes, step by step: a changed resource costs its own facts and what they touch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from outrig.compile.directory import Directory, is_wide
from outrig.compile.mesh_index import MeshIndex, Touched
from outrig.dialects.kind import Kind, no_facts
from outrig.model import Fact
from outrig.resources import Key, Resource


class Index:
    """All meshes, kept up to date.

    Resources are remembered, because a namespace that moves to another mesh, or a mesh whose trust domain becomes
    known, changes what resources mean that did not change themselves. That is rare, and costs as much as it concerns.
    """

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = {(kind.group, kind.name): kind for kind in kinds if kind.compile is not no_facts}
        self._directory = Directory()
        self._meshes: dict[str, MeshIndex] = {}
        self._resources: dict[str, dict[Key, Resource]] = defaultdict(dict)  # by namespace
        self._placed: dict[Key, tuple[str, tuple[Fact, ...]]] = {}  # by origin: the mesh, and what was said there

    def mesh(self, name: str) -> MeshIndex:
        """A mesh; one that nobody spoke of is empty."""
        if name not in self._meshes:
            self._meshes[name] = MeshIndex(name, self._directory)
        return self._meshes[name]

    def mesh_of(self, origin: Key) -> MeshIndex:
        """The mesh that a resource belongs to."""
        return self.mesh(self._directory.mesh_of_origin(origin))

    def apply(self, changed: Mapping[Key, Resource | None]) -> dict[str, Touched]:
        """Take in resources as they are now (None: gone). Gives what was touched, by mesh."""
        known = {key: resource for key, resource in changed.items() if (key.group, key.kind) in self._kinds}
        for key, resource in known.items():
            self._remember(key, resource)
        wide = [key for key in known if is_wide(key)]
        scoped = self._rescope(wide) if wide else {}
        for key in {*known, *(key for namespace in scoped for key in self._resources[namespace])}:
            self._place(key)
        return self._settle()

    def _remember(self, key: Key, resource: Resource | None) -> None:
        if resource is None:
            self._resources[key.namespace].pop(key, None)
        else:
            self._resources[key.namespace][key] = resource

    def _rescope(self, wide: Iterable[Key]) -> set[str]:
        """Take in what is in no namespace and no mesh; gives the namespaces whose resources may mean something else."""
        before = self._scopes()
        for key in wide:
            self._directory.replace(key, self._facts(key))
        now = self._scopes()
        return {namespace for namespace in now if before[namespace] != now[namespace]}

    def _scopes(self) -> dict[str, tuple[str, str]]:
        meshes = {namespace: self._directory.mesh_of(namespace) for namespace in self._resources if namespace}
        return {namespace: (mesh, self._directory.trust_domain(mesh)) for namespace, mesh in meshes.items()}

    def _facts(self, key: Key) -> tuple[Fact, ...]:
        resource = self._resources[key.namespace].get(key)
        if resource is None:
            return ()
        return self._kinds[key.group, key.kind].compile(resource, self._directory.scope)

    def _place(self, key: Key) -> None:
        """Put the facts of a resource where they belong now; facts that stand there already are left alone."""
        old_mesh, old = self._placed.pop(key, ("", ()))
        mesh, new = self._directory.mesh_of_origin(key), self._facts(key)
        if new:
            self._placed[key] = (mesh, new)
        stays = set(old) & set(new) if mesh == old_mesh else set()
        for fact in old:
            if fact not in stays:
                self.mesh(old_mesh).discard(fact)
        for fact in new:
            if fact not in stays:
                self.mesh(mesh).add(fact)

    def _settle(self) -> dict[str, Touched]:
        return {name: mesh.settle() for name, mesh in self._meshes.items()}
