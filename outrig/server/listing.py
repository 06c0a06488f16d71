"""Files that settings name and that list things: issuers, public keys.

In: a path, and the form of what is in the file. Out: the form, filled in. Refused with the file, the place in it and
what was expected: what cannot be read, unknown fields, wrong types.
"""

from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from outrig.kit.documents import document_in
from outrig.server.settings import BadSetting

HINT: Final = "docs/settings.md shows such a file"


class Form(BaseModel):
    """A part of such a file: fields in camelCase, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


F = TypeVar("F", bound=Form)


def read_listing(path: Path, form: type[F]) -> F:
    """What the file says. Raises BadSetting."""
    try:
        return form.model_validate(document_in(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(str(path), f"cannot be read: {' '.join(str(error).split())}", HINT) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadSetting(f"{path}: {where}", first["msg"], HINT) from None
