"""`outrig apply`: the resources in some documents are created, or replace those that are there, whole.

In: documents of either dialect. Everything is read; then the control plane is asked what it would say of all of them,
in their order, each beside those before it; then they are written, one after the other. Nothing is written where any of
them is refused. Exit status: 0, or 2 with every reason.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import httpx
import typer
import yaml

from outrig.cli.asking import NOT_FOUND, Api, Authority, Kubeconfig, Refused, Server, Token, access_of, asking, said_in
from outrig.cli.documents import Document, documents_of, read_variables
from outrig.cli.places import Target, target_of
from outrig.dialects.kuma.document import InvalidDocument, examine
from outrig.dialects.kuma.names import name_findings
from outrig.errors import OutrigError

PATH: Final = "/outrig/v1/dry-run"
CREATED: Final = 201

Files = Annotated[list[str], typer.Option("-f", "--file", help="file, directory, URL, or - for standard input")]
Variables = Annotated[list[str], typer.Option("-v", "--var", metavar="NAME=VALUE", help="fills in {{ NAME }}")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="ask what would become of it, and write nothing")]
Given = tuple[Document, Target]


def apply(
    files: Files,
    *,
    variables: Variables = [],  # noqa: B006 - typer's way; never changed
    dry_run: DryRun = False,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Create the resources in some documents, or replace those that are there: all of them, or none."""
    known = read_variables(variables)
    documents = [document for name in files for document in documents_of(name, known)]
    given = list(_placed(documents))
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        outcomes = _rehearsed(api, given)
        if dry_run:
            typer.echo("\n".join(line for line in _foretold(given, outcomes)), err=True)
            typer.echo(yaml.safe_dump_all([dict(one.content) for one in documents], sort_keys=False), nl=False)
            return
        _write(api, given)


def _placed(documents: Sequence[Document]) -> Iterator[Given]:
    """What they are about. Raises OutrigError, or a group of them, for those that can have no place."""
    refused: list[OutrigError] = []
    for document in documents:
        try:
            yield document, _target(document)
        except OutrigError as error:
            refused.append(error)
    _refuse(refused)


def _target(document: Document) -> Target:
    """What a document is about. One whose name leads nowhere is judged here, as the control plane cannot be asked."""
    target = target_of(document)
    if document.type:
        draft = examine(document.content)
        if any(name_findings(draft.resource.key)):
            raise InvalidDocument(target.shown, draft.problems(document.content))
    return target


def _refuse(errors: Sequence[OutrigError]) -> None:
    if errors:
        raise errors[0] if len(errors) == 1 else ExceptionGroup("refused", errors)


def _rehearsed(api: Api, given: Sequence[Given]) -> Sequence[Mapping[str, Any]]:
    """What would become of each. Raises Refused, or a group of them: one for each that would be refused."""
    writes = [
        {"path": target.path, "collection": target.collection, "document": json.dumps(document.content)}
        for document, target in given
    ]
    outcomes: list[Mapping[str, Any]] = api.ask("POST", PATH, document={"writes": writes}).json()["outcomes"]
    refused = [
        Refused(target.path, said_in(outcome["refusal"]), status=outcome["status"])
        for (_, target), outcome in zip(given, outcomes, strict=True)
        if "refusal" in outcome
    ]
    if refused and len(given) > 1:
        what = f"{len(refused)} of {len(given)} documents"
        typer.echo(f"nothing is applied, as the control plane refuses {what}:", err=True)
    _refuse(refused)
    return outcomes


def _foretold(given: Sequence[Given], outcomes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for (_, target), outcome in zip(given, outcomes, strict=True):
        yield from _lines(target, f"would be {_word(outcome['status'])}", outcome["warnings"])


def _write(api: Api, given: Sequence[Given]) -> None:
    """One after the other: what others do meanwhile, or a connection that breaks, may still come between."""
    for number, (document, target) in enumerate(given):
        put = _put_kuma if document.type else _put_kube
        try:
            answer, warnings = put(api, document, target)
        except OutrigError:
            if number:
                left = ", ".join(target.shown for _, target in given[number:])
                typer.echo(f"what was applied is said above; not applied: {left}", err=True)
            raise
        typer.echo("\n".join(_lines(target, _word(answer.status_code), warnings)))


def _word(status: int) -> str:
    return "created" if status == CREATED else "replaced"


def _lines(target: Target, outcome: str, warnings: Sequence[str]) -> Iterator[str]:
    yield f"{target.shown} {outcome}"
    yield from (f"  warning: {warning}" for warning in warnings)


def _put_kuma(api: Api, document: Document, target: Target) -> tuple[httpx.Response, Sequence[str]]:
    answer = api.ask("PUT", target.path, document=dict(document.content))
    return answer, answer.json().get("warnings") or ()


def _put_kube(api: Api, document: Document, target: Target) -> tuple[httpx.Response, Sequence[str]]:
    try:
        stored = api.read(target.path)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        answer = api.ask("POST", target.collection, document=dict(document.content))
        return answer, _warnings(answer)
    metadata = {**document.content["metadata"], "resourceVersion": stored["metadata"]["resourceVersion"]}
    answer = api.ask("PUT", target.path, document={**document.content, "metadata": metadata})
    return answer, _warnings(answer)


def _warnings(answer: httpx.Response) -> list[str]:
    """Those of Kubernetes' form: `299 - "text"`."""
    return [one.partition('"')[2].removesuffix('"') for one in answer.headers.get_list("warning")]
