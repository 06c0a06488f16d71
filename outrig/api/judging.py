"""What a kind says of a resource that fits its schema: what refuses it, and what its author is only told.

In: a kind, a resource, findings. Out: causes and sentences.
"""

from outrig.api.refusals import Cause
from outrig.dialects.kind import Kind
from outrig.errors import Finding, Severity
from outrig.resources import Resource


def judged(resource: Resource, kind: Kind) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """The errors, and where there are none the warnings."""
    findings = kind.findings(resource)
    errors = tuple(map(cause, (found for found in findings if found.severity is Severity.ERROR)))
    return errors, () if errors else tuple(map(warning, findings))


def cause(finding: Finding) -> Cause:
    """A finding as a reason to refuse the resource."""
    return Cause(finding.path, _sentence(finding))


def warning(finding: Finding) -> str:
    """A finding as a line for the resource's author."""
    return f"{finding.path}: {_sentence(finding)}"


def _sentence(finding: Finding) -> str:
    said = f"{finding.problem} ({finding.hint})" if finding.hint else finding.problem
    return f"{said} [{finding.code}]"
