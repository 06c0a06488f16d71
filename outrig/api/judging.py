"""What kinds find, as it is told: what refuses a resource, and what its author only hears.

In: findings. Out: causes, in Kubernetes' words, and sentences.
"""

from collections.abc import Sequence
from dataclasses import replace

from outrig.dialects.causes import Cause, cause_of, sentence
from outrig.dialects.findings import MISSING
from outrig.errors import Finding, Severity


def judged(findings: Sequence[Finding]) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """The errors, and where there are none the warnings."""
    errors = tuple(map(_refusing, (found for found in findings if found.severity is Severity.ERROR)))
    return errors, () if errors else tuple(map(warning, findings))


def _refusing(finding: Finding) -> Cause:
    cause = cause_of(finding)
    if finding.code != MISSING:
        return cause
    return replace(cause, message=f"Required value: {cause.message}", reason="FieldValueRequired")


def warning(finding: Finding) -> str:
    """A finding as a line for the resource's author."""
    return f"{finding.path}: {sentence(finding)}"
