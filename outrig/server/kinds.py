"""The kinds this control plane serves, and those a proxy's configuration can depend on."""

from typing import Final

from outrig.dialects import core, istio, kuma, onboarding, rbac
from outrig.dialects.kind import Kind, no_facts

_OF_MESHES: Final[tuple[Kind, ...]] = (*core.KINDS, *istio.KINDS, *onboarding.KINDS)
KINDS: Final[tuple[Kind, ...]] = (*_OF_MESHES, *rbac.KINDS)
KUMA_KINDS: Final = kuma.KINDS
_INTERNAL: Final = (core.AUTHORITY, kuma.OFFER)
TOLD: Final = (*_OF_MESHES, *(kind for kind in KUMA_KINDS if kind.compile is not no_facts), *_INTERNAL)
FOLLOWED: Final = tuple((kind.group, kind.name) for kind in TOLD if kind is not core.EVENT)
