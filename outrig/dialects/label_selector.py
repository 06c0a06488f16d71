"""Kubernetes' LabelSelector: `matchLabels` and `matchExpressions`, all of which must hold; empty chooses everything."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from outrig.dialects.findings import INVALID, MISSING, Place
from outrig.dialects.schema import Form, LabelKey, Labels, LabelValue
from outrig.errors import Finding


class Requirement(Form):
    """One demand on one label."""

    key: LabelKey = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How its value is judged.")
    values: list[LabelValue] = Field(default=[], description="Values, for In and NotIn.")

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the demand. A missing label is not in any list, so NotIn holds."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) == (self.operator == "Exists")


class LabelSelector(Form):
    """Chooses resources by their labels."""

    match_labels: Labels = Field(default={}, description="Labels that must be there with exactly these values.")
    match_expressions: list[Requirement] = Field(default=[], description="Further demands, all of which must hold.")

    def chooses(self, labels: Mapping[str, str]) -> bool:
        """Whether a resource with these labels is chosen."""
        exact = self.match_labels.items() <= labels.items()
        return exact and all(one.holds(labels) for one in self.match_expressions)


def selector_findings(place: Place, selector: LabelSelector) -> Iterator[Finding]:
    """Errors for expressions whose values do not go with their operator."""
    for index, one in enumerate(selector.match_expressions):
        values = (place / "matchExpressions")[index] / "values"
        needs_values = one.operator in ("In", "NotIn")
        if needs_values and not one.values:
            yield values.error(MISSING, f"operator {one.operator} needs values")
        if not needs_values and one.values:
            yield values.error(INVALID, f"operator {one.operator} takes no values")
