"""Issuers of tokens that the control plane trusts: who they are, and where their keys are found.

Only the operator names issuers and addresses; a token's own word about either is compared, never followed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import jsonpath

ALGORITHMS = ("RS256", "ES256", "ES384")
LONGEST_LIFETIME = timedelta(hours=24)
_SHORT_NAME = re.compile(r"[0-9a-z]+(-[0-9a-z]+)*")
_MOST_PATH = 256  # characters of a JSON path
_MOST_ATTRIBUTES, _MOST_TEXT = 64, 256


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer. Raises ValueError where a field cannot be meant.

    `url`: exactly what its tokens have as `iss`. `short_name` stands in names of registrations. `attributes`: the claim
    that holds a map of them (`attributes_path`). Its keys: `jwks` (the
    text of a key set), else what `jwks_uri` serves, else what OpenID discovery leads to. `roots`: a file of CA
    certificates in place of the system's, for fetching. `private_addresses`: it may be within a private network.
    `longest`: lifetime of its tokens at most.
    """

    url: str
    short_name: str
    jwks_uri: str = ""
    jwks: str = ""
    attributes: jsonpath.JSONPath | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    longest: timedelta = timedelta(hours=1)
    roots: str = ""
    private_addresses: bool = False

    def __post_init__(self) -> None:
        if self.jwks_uri and self.jwks:
            raise ValueError("jwks and jwksUri: only one of them may be given")
        check_url(self.url)
        if self.jwks_uri:
            check_url(self.jwks_uri)
        if not _SHORT_NAME.fullmatch(self.short_name) or len(self.short_name) > 63:
            raise ValueError(f"shortName: {self.short_name!r} is not lower-case letters and digits, parted by dashes")
        if not self.algorithms or set(self.algorithms) - set(ALGORITHMS):
            raise ValueError(f"algorithms: some of {', '.join(ALGORITHMS)} are possible, not {self.algorithms!r}")
        if not timedelta(0) < self.longest <= LONGEST_LIFETIME:
            raise ValueError(f"maximumLifetime: {self.longest} is not within 24 hours")

    @property
    def discovery(self) -> str:
        """Where OpenID discovery finds its metadata. Source: OpenID Connect Discovery 1.0, section 4."""
        return f"{self.url.rstrip('/')}/.well-known/openid-configuration"


def attributes_path(text: str) -> jsonpath.JSONPath:
    """A JSON path that leads to one place. Raises ValueError."""
    try:
        path = jsonpath.compile(text[:_MOST_PATH])
    except jsonpath.JSONPathError as error:
        raise ValueError(f"{text!r} is not a JSON path: {str(error).splitlines()[0]}") from None
    if len(text) > _MOST_PATH or not isinstance(path, jsonpath.JSONPath) or not path.singular_query():
        raise ValueError(f"{text!r} does not lead to one place, as $.attributes does")
    return path


def read_attributes(path: jsonpath.JSONPath, claims: Mapping[str, Any]) -> dict[str, str]:
    """The attributes in a token's claims: texts as they are, true, false and whole numbers as JSON writes them.

    Lists, maps, fractions and texts longer than 256 characters are no attributes. Without a map there are none.
    """
    found = path.findall(dict(claims))
    values = found[0] if found and isinstance(found[0], Mapping) else {}
    texts = ((str(name), _text(value)) for name, value in list(values.items())[:_MOST_ATTRIBUTES])
    return {name: text for name, text in texts if text is not None and len(name) <= _MOST_TEXT}


def check_url(url: str) -> None:
    """It is a plain https URL. Raises ValueError."""
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and not set(url) & set("@#?\\ %")
    if parts.scheme != "https" or not parts.hostname or not plain or parts.port == 0:
        raise ValueError(f"{url!r} is not an https URL without user, query and fragment")


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else None
    return value if isinstance(value, str) and len(value) <= _MOST_TEXT else None
