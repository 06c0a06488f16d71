"""The kinds this control plane serves, and those a proxy's configuration can depend on."""

from typing import Final

from outrig.dialects import core, istio, onboarding
from outrig.dialects.kind import Kind

KINDS: Final[tuple[Kind, ...]] = (*core.KINDS, *istio.KINDS, *onboarding.KINDS)
FOLLOWED: Final = tuple((kind.group, kind.name) for kind in KINDS if kind is not core.EVENT)
