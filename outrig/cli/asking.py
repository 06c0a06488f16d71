"""Asking the control plane's API, for commands.

In: how it is reached (`Access`), a method, a path. Out: its answer. Raises NoAnswer where nobody answers, Refused with
the control plane's own words, whichever of its two APIs spoke.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import SSLError, create_default_context
from typing import Annotated, Any, Final

import httpx
import typer

from outrig import __version__
from outrig.cli.kubeconfig import Access, BadKubeconfig, kubeconfig_files, read_access
from outrig.errors import OutrigError, did_you_mean

AGENT: Final = f"outrig/{__version__}"
"""What the audit log calls these clients; objects that they write name its first part as their manager."""

OTHERS: Final = "the client certificate is none of this control plane's: is the kubeconfig another's?"
SECONDS: Final = 30.0
NOT_FOUND: Final = 404

Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="default: $KUBECONFIG, or ~/.kube/config")]
Server = Annotated[
    str, typer.Option("--address", envvar="OUTRIG_API_ADDRESS", help="URL of the API, in place of a kubeconfig")
]
Token = Annotated[
    str, typer.Option("--token", envvar="OUTRIG_API_TOKEN", show_envvar=True, help="user token, with --address")
]
Authority = Annotated[
    Path | None, typer.Option("--ca-cert-file", envvar="OUTRIG_API_CA", help="whom to trust there, with --address")
]


class NoAnswer(OutrigError):
    """The control plane was not reached, or would not answer."""

    code = "OUT903"


class Refused(OutrigError):
    """The control plane refused. `status`: the HTTP status."""

    code = "OUT904"

    def __init__(self, place: str, problem: str, hint: str = "", *, status: int) -> None:
        self.status = status
        super().__init__(place, problem, hint)


def access_of(address: str, token: str, authority: Path | None, *, kubeconfig: Path | None) -> Access:
    """The access that options give: an address with a token, else a kubeconfig. Raises BadKubeconfig, NoAnswer."""
    if not address:
        return read_access(kubeconfig_files(kubeconfig))
    if not address.startswith(("http://", "https://")):
        raise NoAnswer(f"--address {address}", "is no URL of the API", f"write http://{address}, or https://…")
    try:
        pem = authority.read_text(encoding="ascii") if authority else ""
        return Access(address, create_default_context(cadata=pem or None), token, authority=pem)
    except (OSError, ValueError, SSLError) as error:
        raise BadKubeconfig(f"--ca-cert-file {authority}", f"cannot be used: {error}") from None


class Api:
    """The API, as long as its client is open."""

    def __init__(self, access: Access, client: httpx.Client) -> None:
        self._access, self._client = access, client

    def ask(self, method: str, path: str, *, document: Any = None, accept: str = "application/json") -> httpx.Response:
        """The answer. Raises NoAnswer, Refused."""
        extensions = {"sni_hostname": self._access.server_name} if self._access.server_name else {}
        headers = {"accept": accept}
        url = self._access.server.rstrip("/") + path
        try:
            answer = self._client.request(method, url, json=document, headers=headers, extensions=extensions)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            is_foreign = "unknown ca" in str(error)  # as OpenSSL words the alert
            hint = OTHERS if is_foreign else "does it run, and is that its address?"
            raise NoAnswer(
                self._access.server, f"the control plane cannot be reached: {error or type(error).__name__}", hint
            ) from None
        if answer.is_success:
            return answer
        raise Refused(path, said(answer), status=answer.status_code)

    def read(self, path: str) -> dict[str, Any]:
        """An object at a path. Raises NoAnswer, Refused."""
        try:
            found = self.ask("GET", path).json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NoAnswer(self._access.server, f"what it answers at {path} is no object", "is it a control plane?")
        return found

    def read_all(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page. Raises NoAnswer, Refused."""
        joint = "&" if "?" in path else "?"
        offset = ""
        while True:
            page = self.read(f"{path}{joint}size=1000{offset}")
            yield from page.get("items") or ()
            if not (following := page.get("next")):
                return
            offset = f"&offset={httpx.URL(str(following)).params.get('offset', '')}"


@contextmanager
def asking(access: Access) -> Iterator[Api]:
    """The API that an access leads to."""
    headers = {"user-agent": AGENT, **({"authorization": f"Bearer {access.token}"} if access.token else {})}
    with httpx.Client(verify=access.tls, timeout=SECONDS, headers=headers) as client:
        yield Api(access, client)


@contextmanager
def near(api: Api, collection: str, name: str) -> Iterator[None]:
    """Within it, a refusal because nothing has that name says which are near, as far as the caller may know that."""
    try:
        yield
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        raise Refused(refused.place, refused.problem, _hint(api, collection, name), status=NOT_FOUND) from None


def _hint(api: Api, collection: str, name: str) -> str:
    with suppress(Refused):
        found = api.read_all(collection) if not collection.startswith("/api") else api.read(collection)["items"]
        return did_you_mean(name, {str(one.get("name") or one["metadata"]["name"]) for one in found})
    return ""


def said(answer: httpx.Response) -> str:
    """What a refusal says, on one line."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, Mapping):
        return f"it answers HTTP {answer.status_code}, and not as a control plane does"
    return said_in(document)


def said_in(document: Mapping[str, Any]) -> str:
    """What the document of a refusal says: of Kuma's form every field, of Kubernetes' form the message."""
    fields = [f"{one.get('field')}: {one.get('reason')}" for one in document.get("invalid_parameters") or ()]
    sentence = str(document.get("detail") or document.get("message") or "")
    return "; ".join(fields) or ": ".join(filter(None, (str(document.get("title") or ""), sentence)))
