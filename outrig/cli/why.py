"""`outrig why`: what would become of a call, and what would stop it.

Exit status: 0 if it would be answered, 1 if something stops it, 2 if that is not known or the question cannot be asked.
"""

import json
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import httpx
import typer

from outrig.cli.asking import Authority, Kubeconfig, NoAnswer, Refused, Server, Token, access_of, asking
from outrig.cli.kubeconfig import Access
from outrig.why.document import NoExplanation, document_of, explanation_of
from outrig.why.explanation import Ending, Explanation
from outrig.why.text import lines_of

PATH = "/outrig/v1/why"


class Output(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


Source = Annotated[
    str,
    typer.Argument(
        help="who calls: a Dataplane (mesh/name), a WorkloadEntry (namespace/name) or a beginning of either; its "
        "service, group or task id"
    ),
]
Target = Annotated[
    str,
    typer.Argument(
        help="whom: http://HOST:PORT/PATH, tcp://HOST:PORT or HOST:PORT, as the application calls it; beside a "
        "Dataplane that is the address of an outbound: http://127.0.0.1:PORT/PATH"
    ),
]
Via = Annotated[
    str, typer.Option("--via", metavar="ADDRESS:PORT", help="where it connects to; default: the listener found")
]
Namespace = Annotated[
    str, typer.Option("-n", "--namespace", help="where to look for SOURCE, a namespace or mesh; default: everywhere")
]
Form = Annotated[Output, typer.Option("-o", "--output", help="text or json")]


def why(
    source: Source,
    target: Target,
    *,
    via: Via = "",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
    output: Form = Output.TEXT,
) -> None:
    """Say who would answer a call and by which listener, route, cluster, endpoint and certificate; or what stops it."""
    access = access_of(address, token, authority, kubeconfig=kubeconfig)
    question = {"source": source, "target": target, "via": via, "namespace": namespace}
    explanation = ask(access, {name: value for name, value in question.items() if value})
    if output is Output.JSON:
        typer.echo(json.dumps(document_of(explanation), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines_of(explanation)))
    raise typer.Exit(0 if explanation.answered else 2 if explanation.ending is Ending.NOT_KNOWN else 1)


def ask(access: Access, question: dict[str, str]) -> Explanation:
    """The control plane's answer. Raises NoAnswer."""
    try:
        with asking(access) as api:
            return explanation_of(api.ask("GET", f"{PATH}?{urlencode(question)}").json())
    except Refused as refused:
        if refused.status != httpx.codes.BAD_REQUEST:
            raise NoAnswer(access.server, refused.problem) from None
        typer.echo(refused.problem, err=True)  # the question was not understood: the control plane says how
        raise typer.Exit(2) from None
    except (NoExplanation, ValueError) as error:
        hint = "a control plane of another version, or something else?"
        raise NoAnswer(access.server, f"the answer is no explanation: {error}", hint) from None
