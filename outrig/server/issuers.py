"""The file of `OUTRIG_JWT_ISSUERS`: which issuers' tokens let workloads join.

In: YAML, a list `issuers`. Out: `Issuer`s. Refused with the file, the place in it and what was expected: unknown
fields, values that cannot be meant, an issuer or a short name listed twice, key sets without a usable key, files of
CA certificates that cannot be read.
"""

import json
import ssl
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from outrig.attest.issuers import ALGORITHMS, Issuer, attributes_path
from outrig.attest.jwks import read_keys
from outrig.kit.durations import duration
from outrig.server.settings import BadSetting

_HINT = "docs/settings.md shows such a file"


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _AttributesForm(_Form):
    json_path: str


class _TokenFieldsForm(_Form):
    attributes: _AttributesForm | None = None


class _IssuerForm(_Form):
    issuer: str
    short_name: str
    jwks_uri: str = ""
    jwks: dict[str, Any] | None = None
    token_fields: _TokenFieldsForm = _TokenFieldsForm()
    algorithms: list[str] = list(ALGORITHMS)
    maximum_lifetime: str = "1h"
    ca_file: str = ""
    private_addresses: bool = False


class _FileForm(_Form):
    issuers: list[_IssuerForm] = Field(min_length=1)


def read_issuers(file: str) -> tuple[Issuer, ...]:
    """The issuers in a file; none if no file is named. Raises BadSetting."""
    if not file:
        return ()
    path = Path(file).expanduser()
    try:
        form = _FileForm.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(str(path), f"cannot be read: {' '.join(str(error).split())}", _HINT) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadSetting(f"{path}: {where}", first["msg"], _HINT) from None
    issuers = tuple(_issuer(f"{path}: issuers.{index}", one) for index, one in enumerate(form.issuers))
    _check_unique(path, issuers)
    return issuers


def _issuer(place: str, form: _IssuerForm) -> Issuer:
    attributes = form.token_fields.attributes
    try:
        issuer = Issuer(
            url=form.issuer,
            short_name=form.short_name,
            jwks_uri=form.jwks_uri,
            jwks=json.dumps(form.jwks) if form.jwks is not None else "",
            attributes=attributes_path(attributes.json_path) if attributes else None,
            algorithms=tuple(form.algorithms),
            longest=duration(form.maximum_lifetime),
            roots=str(Path(form.ca_file).expanduser()) if form.ca_file else "",
            private_addresses=form.private_addresses,
        )
        if issuer.roots:
            ssl.create_default_context(cafile=issuer.roots)
    except (ValueError, OSError) as error:
        raise BadSetting(place, " ".join(str(error).split()), _HINT) from None
    if form.jwks is not None and not read_keys(form.jwks, issuer):
        raise BadSetting(f"{place}.jwks", "has no key that can verify this issuer's tokens", _HINT)
    return issuer


def _check_unique(path: Path, issuers: Sequence[Issuer]) -> None:
    for name, values in (("issuer", [i.url for i in issuers]), ("shortName", [i.short_name for i in issuers])):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise BadSetting(str(path), f"{name} {value!r} is listed twice", _HINT)
