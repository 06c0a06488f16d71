"""The kinds this control plane serves, and those a proxy's configuration can depend on."""

from typing import Final

from outrig.dialects import core, istio, kuma, onboarding
from outrig.dialects.kind import Kind, no_facts

KINDS: Final[tuple[Kind, ...]] = (*core.KINDS, *istio.KINDS, *onboarding.KINDS)
KUMA_KINDS: Final = kuma.KINDS
TOLD: Final = (*KINDS, *(kind for kind in KUMA_KINDS if kind.compile is not no_facts), core.AUTHORITY)
FOLLOWED: Final = tuple((kind.group, kind.name) for kind in TOLD if kind is not core.EVENT)
