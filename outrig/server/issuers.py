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

from pydantic import Field

from outrig.attest.issuers import ALGORITHMS, Issuer, attributes_path
from outrig.attest.jwks import read_keys
from outrig.kit.durations import duration
from outrig.server.listing import HINT, Form, read_listing
from outrig.server.settings import BadSetting


class _AttributesForm(Form):
    json_path: str


class _TokenFieldsForm(Form):
    attributes: _AttributesForm | None = None


class _IssuerForm(Form):
    issuer: str
    short_name: str
    jwks_uri: str = ""
    jwks: dict[str, Any] | None = None
    token_fields: _TokenFieldsForm = _TokenFieldsForm()
    algorithms: list[str] = list(ALGORITHMS)
    maximum_lifetime: str = "1h"
    ca_file: str = ""
    private_addresses: bool = False


class _FileForm(Form):
    issuers: list[_IssuerForm] = Field(min_length=1)


def read_issuers(file: str) -> tuple[Issuer, ...]:
    """The issuers in a file; none if no file is named. Raises BadSetting."""
    if not file:
        return ()
    path = Path(file).expanduser()
    form = read_listing(path, _FileForm)
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
        raise BadSetting(place, " ".join(str(error).split()), HINT) from None
    if form.jwks is not None and not read_keys(form.jwks, issuer):
        raise BadSetting(f"{place}.jwks", "has no key that can verify this issuer's tokens", HINT)
    return issuer


def _check_unique(path: Path, issuers: Sequence[Issuer]) -> None:
    for name, values in (("issuer", [i.url for i in issuers]), ("shortName", [i.short_name for i in issuers])):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise BadSetting(str(path), f"{name} {value!r} is listed twice", HINT)
