"""Objects of Kuma's documents: strict as all forms, but a field that is null is absent, as in protobuf's JSON.

Templates leave such fields behind: `outbound:` with nothing below it.
"""

from collections.abc import Mapping

from pydantic import model_validator

from outrig.dialects.schema import Form


class KumaForm(Form):
    """A JSON object with exactly these fields."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: object) -> object:
        if not isinstance(content, Mapping):
            return content
        return {field: value for field, value in content.items() if value is not None}
