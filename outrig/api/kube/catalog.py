"""The kinds that are served, found by the names a URL or a document uses; and what a URL of the API names.

In: kinds, or the path of a request. Out: `Catalog` and `Address`. Refuses paths that Kubernetes would not have.
"""

from dataclasses import dataclass

from outrig.api.kube.statuses import Subject, unknown_path
from outrig.dialects.kind import Kind
from outrig.resources import Key
from outrig.store.protocol import Query

NAMESPACE = ("", "Namespace")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All served kinds."""

    kinds: tuple[Kind, ...]

    def find(self, address: "Address") -> Kind | None:
        """The kind that a URL names, if it is served in that version."""
        named = (address.group, address.plural)
        for kind in self.kinds:
            if (kind.group, kind.plural) == named and address.version in kind.versions:
                return kind
        return None

    def kind_of(self, group: str, name: str) -> Kind | None:
        """The kind of that name."""
        return next((kind for kind in self.kinds if (kind.group, kind.name) == (group, name)), None)

    def served(self, group: str, version: str) -> tuple[Kind, ...]:
        """The kinds of a group in a version."""
        return tuple(kind for kind in self.kinds if kind.group == group and version in kind.versions)


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL names. `namespace` and `name` are empty for the whole cluster and for a collection."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, with its kind."""

    kind: Kind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def api_version(self) -> str:
        """`group/version`, or just `version` in the core group."""
        return api_version(self.kind.group, self.version)

    @property
    def subject(self) -> Subject:
        """For messages."""
        return Subject(self.kind.group, self.kind.plural, self.kind.name, self.name)

    @property
    def key(self) -> Key:
        """The key of the named object."""
        return Key(self.kind.group, self.kind.name, "", self.namespace, self.name)

    @property
    def query(self) -> Query:
        """What a store is asked for the collection that it is in."""
        return Query(kinds=((self.kind.group, self.kind.name),), namespace=self.namespace or None)

    @property
    def methods(self) -> tuple[str, ...]:
        """What may be sent there. A collection is changed only in a namespace, and never are all namespaces deleted at
        once, as in Kubernetes.
        """
        reads, writes = ("GET", "HEAD"), ("PUT", "PATCH") if self.name else ("POST",)
        if self.kind.namespaced and not self.namespace:
            return reads
        is_namespaces = (self.kind.group, self.kind.name) == NAMESPACE and not self.name
        kept = self.subresource or is_namespaces
        return (*reads, *(() if self.kind.system else writes), *(() if kept else ("DELETE",)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever asks for this version is told, in Kubernetes' words.

        Source: defaultDeprecationWarning of k8s.io/apiextensions-apiserver.
        """
        if self.version not in self.kind.deprecated:
            return ()
        preferred = api_version(self.kind.group, self.kind.versions[0])
        return (f"{self.api_version} {self.kind.name} is deprecated; use {preferred} {self.kind.name}",)

    def at(self, name: str) -> "Target":
        """The object of that name in the same place."""
        return Target(self.kind, self.version, self.namespace, name, self.subresource)


def api_version(group: str, version: str) -> str:
    """As documents write it."""
    return f"{group}/{version}" if group else version


def group_of(api_version: str) -> str:
    """The group in `group/version`; empty for the core group."""
    return api_version.rpartition("/")[0]


def parse_path(path: str) -> Address:
    """The address that a path names. Raises ApiError (404) for a path that names no resource.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
    """
    prefix, *parts = path.strip("/").split("/")
    if prefix == "api":
        group, rest = "", parts
    elif prefix == "apis" and parts:
        group, rest = parts[0], parts[1:]
    else:
        raise unknown_path()
    if len(rest) < 2 or not all(rest):
        raise unknown_path()
    version, *rest = rest
    # `namespaces/x/status` is a part of the Namespace itself, not a resource within it.
    within = len(rest) > 2 and rest[0] == "namespaces" and not (group == "" and rest[2] in ("status", "finalize"))
    namespace, rest = (rest[1], rest[2:]) if within else ("", rest)
    if len(rest) > 3:
        raise unknown_path()
    plural, name, subresource = (*rest, "", "")[:3]
    return Address(group, version, plural, namespace, name, subresource)
