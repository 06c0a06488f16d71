"""What the tokens need to know, and the file of `OUTRIG_TOKEN_PUBLIC_KEYS`: keys of tokens that are issued elsewhere.

In: YAML, lists `dataplane`, `zone`, `user` of keys. Out: `TokenSettings`. Refused with the file, the place in it and
what was expected: unknown fields, keys that cannot be read, one id listed twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field

from outrig.server.listing import HINT, Form, read_listing
from outrig.server.settings import BadSetting, Settings
from outrig.tokens.keys import USER, ZONE, dataplane_ring, verifying_key
from outrig.tokens.refusals import SigningKeyRefused
from outrig.tokens.settings import PublicKey, TokenSettings


class _KeyForm(Form):
    kid: str = Field(min_length=1)
    key: str = ""
    key_file: str = ""


class _MeshKeyForm(_KeyForm):
    mesh: str = Field(min_length=1)


class _FileForm(Form):
    dataplane: list[_MeshKeyForm] = []
    zone: list[_KeyForm] = []
    user: list[_KeyForm] = []


def token_settings(settings: Settings) -> TokenSettings:
    """What the issuing and verifying of tokens needs to know. Raises BadSetting for a file of keys that is wrong."""
    issued = {"dataplane": settings.dp_token_issuer, "zone": settings.zone_token_issuer}
    kept = {"dataplane": settings.dp_token_secrets, "zone": settings.zone_token_secrets}
    return TokenSettings(
        not_issued=_those_off({**issued, "user": settings.user_token_issuer}),
        no_secrets=_those_off({**kept, "user": settings.user_token_secrets}),
        public_keys=read_public_keys(settings.token_public_keys),
    )


def read_public_keys(file: str) -> tuple[PublicKey, ...]:
    """The keys in a file; none if no file is named. Raises BadSetting."""
    if not file:
        return ()
    path = Path(file).expanduser()
    form = read_listing(path, _FileForm)
    keys = tuple(_keys(path, form))
    _check_unique(path, keys)
    return keys


def _keys(path: Path, form: _FileForm) -> Iterator[PublicKey]:
    for index, mesh_key in enumerate(form.dataplane):
        yield PublicKey(dataplane_ring(mesh_key.mesh), mesh_key.kid, _pem(f"{path}: dataplane.{index}", mesh_key))
    for name, ring, keys in (("zone", ZONE, form.zone), ("user", USER, form.user)):
        for index, key in enumerate(keys):
            yield PublicKey(ring, key.kid, _pem(f"{path}: {name}.{index}", key))


def _pem(place: str, form: _KeyForm) -> str:
    if bool(form.key) == bool(form.key_file):
        raise BadSetting(place, "needs key or keyFile, and not both", HINT)
    try:
        pem = form.key or Path(form.key_file).expanduser().read_text(encoding="utf-8")
        verifying_key(pem)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{place}.keyFile", f"cannot be read: {error}", HINT) from None
    except SigningKeyRefused as error:
        raise BadSetting(place, f"its key {error.problem}", "outrig token signing-key prints such keys") from None
    return pem


def _check_unique(path: Path, keys: Iterable[PublicKey]) -> None:
    seen = set()
    for key in keys:
        if (key.ring, key.kid) in seen:
            raise BadSetting(str(path), f"key {key.kid!r} of {key.ring.prefix} is listed twice", HINT)
        seen.add((key.ring, key.kid))


def _those_off(switches: Mapping[str, bool]) -> frozenset[str]:
    return frozenset(name for name, on in switches.items() if not on)
