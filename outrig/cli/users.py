"""`outrig kubeconfig`: kubeconfigs for users of the API, with short-lived client certificates; what was issued, and
taking it back.

In: whom it is for. Out: a kubeconfig on standard output, nothing else. The private key is made here and never leaves.
"""

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outrig.cli.asking import Authority, Kubeconfig, Server, Token, access_of, asking
from outrig.cli.kubeconfig import Access
from outrig.cli.tables import table
from outrig.server.kubeconfigs import Cluster, Credential, written

PATH: Final = "/outrig/v1/certificates"
UNKNOWN: Final = "(never recorded)"
REACHING: Final = ("address", "token", "authority", "kubeconfig")
OWN: Final = (
    "this was your own certificate: the kubeconfig that this command used lets nobody in any more. Whoever still may "
    "issues another (`outrig kubeconfig`); that in DATA_DIR/kubeconfig is made anew when the control plane starts."
)
COLUMNS: Final = ("SERIAL", "USER", "GROUPS", "ISSUED", "BY", "UNTIL", "REVOKED")

app = typer.Typer(help="Kubeconfigs for users of the API: issue, list, revoke.")


@app.callback(invoke_without_command=True)
def issue(
    context: typer.Context,
    *,
    user: Annotated[str, typer.Option("--user", help="name of the user")] = "",
    group: Annotated[list[str], typer.Option("--group", help="a group that the user is in; repeatable")] = [],  # noqa: B006
    valid_for: Annotated[str, typer.Option("--valid-for", help="from 1m to 365d")] = "24h",
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="where commands are about by default")
    ] = "default",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Print a kubeconfig with a new client certificate for --user."""
    if context.invoked_subcommand:
        _refuse_options(context, context.invoked_subcommand)
        context.obj = {"address": address, "token": token, "authority": authority, "kubeconfig": kubeconfig}
        return
    if not user:
        raise typer.BadParameter("--user NAME is missing; or one of the commands list, revoke")
    access = access_of(address, token, authority, kubeconfig=kubeconfig)
    key = ec.generate_private_key(ec.SECP256R1())
    asked = {"csr": _request(key), "user": user, "groups": group, "validFor": valid_for}
    with asking(access) as api:
        made = api.ask("POST", PATH, document=asked).json()
    cluster = Cluster(access.server, access.authority, access.server_name)
    typer.echo(written(cluster, Credential(user, made["certificate"], _pem(key), namespace)), nl=False)


def _refuse_options(context: typer.Context, command: str) -> None:
    """Raises BadParameter for options before a command that are for issuing: the command would not see them."""
    if found := sorted(name for name in context.params if name not in REACHING and _is_said(context, name)):
        option = found[0].replace("_", "-")
        raise typer.BadParameter(
            f"--{option} is not for `{command}`, or comes after it: outrig kubeconfig {command} --help"
        )


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _access(context: typer.Context, **own: Any) -> Access:
    """How the control plane is reached: what a command's own options say counts before those in front of it."""
    said = {name: own[name] if _is_said(context, name) else before for name, before in context.obj.items()}
    return access_of(said["address"], said["token"], said["authority"], kubeconfig=said["kubeconfig"])


@app.command("list")
def list_(
    context: typer.Context,
    *,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """The certificates that were issued and have not ended."""
    access = _access(context, address=address, token=token, authority=authority, kubeconfig=kubeconfig)
    with asking(access) as api:
        _show(api.read(PATH)["items"])


@app.command()
def revoke(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="of the certificate, as `outrig kubeconfig list` shows it")] = "",
    *,
    user: Annotated[str, typer.Option("--user", help="all certificates of that user")] = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Revoke a certificate, or all of a user: at once, on every replica, open watches included."""
    if bool(serial) is bool(user):
        raise typer.BadParameter("name one: SERIAL, or --user NAME")
    access = _access(context, address=address, token=token, authority=authority, kubeconfig=kubeconfig)
    with asking(access) as api:
        path = f"{PATH}/{quote(serial, safe='')}" if serial else f"{PATH}?user={quote(user, safe='')}"
        revoked = api.ask("DELETE", path).json()["items"]
    _show(revoked)
    if access.serial in [row["serial"] for row in revoked]:
        typer.echo(OWN, err=True)


def _show(rows: list[dict[str, Any]]) -> None:
    fields = ("serial", "user", "groups", "issued", "issuedBy", "notAfter", "revoked")
    cells = [[",".join(row[f]) if f == "groups" else str(row[f]) for f in fields] for row in rows]
    typer.echo(table(COLUMNS, [[serial, user or UNKNOWN, *rest] for serial, user, *rest in cells]))


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    """Only its key counts: the name is what the control plane was asked for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "user")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
