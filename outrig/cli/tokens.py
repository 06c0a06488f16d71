"""`outrig token`: data plane, zone and user tokens, issued by the control plane or offline; and keys that sign them.

In: what a token is to say. Out: the token on standard output, nothing else, so that it can be kept in a variable.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from outrig.cli.asking import Authority, Kubeconfig, Server, Token, access_of, asking
from outrig.cli.documents import BadDocument
from outrig.dialects.durations import duration_of as go_duration
from outrig.dialects.kuma.durations import duration_of
from outrig.tokens.claims import DataplaneClaims, UserClaims, ZoneClaims
from outrig.tokens.jwt import sign
from outrig.tokens.keys import new_signing_key, public_key, signing_key

app = typer.Typer(no_args_is_help=True, help="Tokens, and the keys that sign them.")

ValidFor = Annotated[str, typer.Option("--valid-for", help="for how long, for example 24h or 30d")]
SigningKey = Annotated[
    Path | None, typer.Option("--signing-key-path", help="sign here with this PEM file; needs --kid")
]
Kid = Annotated[str, typer.Option("--kid", help="the id under which the control plane knows that key")]


class Claims(Protocol):
    """What a token is to say."""

    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Online:
    """The control plane signs. `reached`: address, token and authority, as options give them."""

    reached: tuple[str, str, Path | None]
    kubeconfig: Path | None


@dataclass(frozen=True, slots=True)
class Offline:
    """A key in a file signs."""

    key: Path
    kid: str


@app.command()
def dataplane(
    *,
    valid_for: ValidFor,
    mesh: Annotated[str, typer.Option("-m", "--mesh", help="whose proxies may use it")] = "default",
    name: Annotated[str, typer.Option("--name", help="only the Dataplane of that name")] = "",
    tag: Annotated[list[str], typer.Option("--tag", metavar="TAG=VALUE,…", help="only these values of a tag")] = [],  # noqa: B006
    type_: Annotated[str, typer.Option("--proxy-type", help="dataplane")] = "dataplane",
    workload: Annotated[str, typer.Option("--workload", help="only that label kuma.io/workload")] = "",
    signing_key_path: SigningKey = None,
    kid: Kid = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """A token with which a data plane proxy joins."""
    claims = DataplaneClaims(mesh, name, type_, dict(map(_tag, tag)), workload)
    tags = {key: list(values) for key, values in claims.tags.items()}
    asked = {"mesh": mesh, "name": name, "type": type_, "workload": workload, "tags": tags}
    way = _way(signing_key_path, kid, Online((address, token, authority), kubeconfig))
    _give("dataplane", claims, asked, valid_for=valid_for, way=way)


@app.command()
def zone(
    *,
    valid_for: ValidFor,
    name: Annotated[str, typer.Option("--zone", help="of the proxies that may use it")] = "",
    scope: Annotated[list[str], typer.Option("--scope", help="ingress, egress")] = ["ingress", "egress"],  # noqa: B006
    signing_key_path: SigningKey = None,
    kid: Kid = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """A token with which a zone ingress or egress joins."""
    claims = ZoneClaims(name, tuple(scope))
    way = _way(signing_key_path, kid, Online((address, token, authority), kubeconfig))
    asked = {"zone": name, "scope": list(scope)}
    _give("zone", claims, asked, valid_for=valid_for, way=way)


@app.command()
def user(
    *,
    valid_for: ValidFor,
    name: Annotated[str, typer.Option("--name", help="of the user")],
    group: Annotated[list[str], typer.Option("--group", help="mesh-system:admin may do everything")] = [],  # noqa: B006
    signing_key_path: SigningKey = None,
    kid: Kid = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """A token with which a person or program uses the API."""
    claims = UserClaims(name, tuple(group))
    way = _way(signing_key_path, kid, Online((address, token, authority), kubeconfig))
    asked = {"name": name, "groups": list(group)}
    _give("user", claims, asked, valid_for=valid_for, way=way)


@app.command(name="signing-key")
def signing_key_(
    *, public_of: Annotated[Path | None, typer.Option("--public-of", help="the public part of this PEM file")] = None
) -> None:
    """A new signing key (PEM), or the public part of one. A Secret holds it in base64."""
    typer.echo(public_key(_read(public_of)) if public_of else new_signing_key(), nl=False)


def _way(key: Path | None, kid: str, online: Online) -> Online | Offline:
    """Offline with a key of one's own, else by the control plane."""
    if key is None:
        return online
    if not kid:
        raise typer.BadParameter("--signing-key-path needs --kid: the serial of the key, or its id in the settings")
    return Offline(key, kid)


def _give(what: str, claims: Claims, asked: dict[str, Any], *, valid_for: str, way: Online | Offline) -> None:
    """Print a token that says those claims: signed here, or by the control plane, which is told what is asked."""
    if isinstance(way, Offline):
        signer, lifetime = signing_key(_read(way.key)), _lifetime(valid_for)
        typer.echo(sign(claims.as_json(), signer, kid=way.kid, now=datetime.now(UTC), lifetime=lifetime))
        return
    with asking(access_of(*way.reached, kubeconfig=way.kubeconfig)) as api:
        sent = {field: value for field, value in (asked | {"validFor": valid_for}).items() if value}
        typer.echo(api.ask("POST", f"/tokens/{what}", document=sent, accept="text/plain").text)


def _lifetime(text: str) -> timedelta:
    lifetime = go_duration(text) or duration_of(text)
    if not lifetime:
        raise typer.BadParameter(f"--valid-for: {text!r} is no duration, for example 24h or 30d")
    return lifetime


def _tag(text: str) -> tuple[str, tuple[str, ...]]:
    tag, equals, values = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--tag: expected TAG=VALUE or TAG=VALUE,VALUE, got {text!r}")
    return tag, tuple(filter(None, values.split(",")))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument(str(file), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
