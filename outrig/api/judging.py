"""What kinds find, as it is told: what refuses a resource, and what its author only hears.

In: findings. Out: causes and sentences.
"""

from collections.abc import Sequence

from outrig.dialects.causes import Cause, cause_of, sentence
from outrig.errors import Finding, Severity


def judged(findings: Sequence[Finding]) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """The errors, and where there are none the warnings."""
    errors = tuple(map(cause_of, (found for found in findings if found.severity is Severity.ERROR)))
    return errors, () if errors else tuple(map(warning, findings))


def warning(finding: Finding) -> str:
    """A finding as a line for the resource's author."""
    return f"{finding.path}: {sentence(finding)}"
