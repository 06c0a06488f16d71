"""`outrig why`: what would become of a call, and what would stop it.

Exit status: 0 if it would be answered, 1 if something stops it, 2 if that is not known or the question cannot be asked.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer

from outrig.cli.kubeconfig import Access, kubeconfig_files, read_access
from outrig.errors import OutrigError
from outrig.why.document import NoExplanation, document_of, explanation_of
from outrig.why.explanation import Ending, Explanation
from outrig.why.text import lines_of

PATH = "/outrig/v1/why"
SECONDS = 30.0


class NoAnswer(OutrigError):
    """The control plane was not reached, or would not answer."""

    code = "OUT903"


class Output(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


Source = Annotated[
    str,
    typer.Argument(help="who calls: a WorkloadEntry (namespace/name or a beginning), its group, service or task id"),
]
Target = Annotated[str, typer.Argument(help="whom: http://HOST:PORT/PATH, tcp://HOST:PORT or HOST:PORT")]
Via = Annotated[
    str, typer.Option("--via", metavar="ADDRESS:PORT", help="where it connects to; default: the listener found")
]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="where to look for SOURCE; default: everywhere")]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="default: $KUBECONFIG, or ~/.kube/config")]
Form = Annotated[Output, typer.Option("-o", "--output", help="text or json")]


def why(
    source: Source,
    target: Target,
    *,
    via: Via = "",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    output: Form = Output.TEXT,
) -> None:
    """Say who would answer a call and by which listener, route, cluster, endpoint and certificate; or what stops it."""
    access = read_access(kubeconfig_files(kubeconfig))
    question = {"source": source, "target": target, "via": via, "namespace": namespace}
    explanation = ask(access, {name: value for name, value in question.items() if value})
    if output is Output.JSON:
        typer.echo(json.dumps(document_of(explanation), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines_of(explanation)))
    raise typer.Exit(0 if explanation.answered else 2 if explanation.ending is Ending.NOT_KNOWN else 1)


def ask(access: Access, question: dict[str, str]) -> Explanation:
    """The control plane's answer. Raises NoAnswer."""
    headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
    extensions = {"sni_hostname": access.server_name} if access.server_name else {}
    url = access.server.rstrip("/") + PATH
    try:
        with httpx.Client(verify=access.tls, timeout=SECONDS) as client:
            response = client.get(url, params=question, headers=headers, extensions=extensions)
            if not response.is_success:
                _refused(access, response)
            return explanation_of(response.json())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        hint = "does it run, and does the kubeconfig name its address?"
        raise NoAnswer(access.server, f"the control plane cannot be reached: {error}", hint) from None
    except (NoExplanation, ValueError) as error:
        hint = "a control plane of another version, or something else?"
        raise NoAnswer(access.server, f"the answer is no explanation: {error}", hint) from None


def _refused(access: Access, response: httpx.Response) -> NoReturn:
    """The control plane's own words, if it did not understand the question; else NoAnswer with what it says."""
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        raise NoAnswer(
            access.server, f"it answers HTTP {response.status_code}, and not as a control plane does"
        ) from None
    if response.status_code == httpx.codes.BAD_REQUEST:
        typer.echo(message, err=True)
        raise typer.Exit(2)
    raise NoAnswer(access.server, message)
