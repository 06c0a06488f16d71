"""Who may join which group, and who has: policies, the decision, and the registrations of joined workloads."""

from typing import Final

from outrig.dialects.kind import Kind
from outrig.dialects.onboarding.onboarding_policy import ONBOARDING_POLICY
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION

KINDS: Final[tuple[Kind, ...]] = (ONBOARDING_POLICY, WORKLOAD_AUTO_REGISTRATION)

__all__ = ["KINDS", "ONBOARDING_POLICY", "WORKLOAD_AUTO_REGISTRATION"]
