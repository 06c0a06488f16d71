"""`outrig apply`, `get`, `delete`: resources of either dialect.

What is applied replaces what is there, whole. Everything is read, and judged as far as that needs no control plane,
before the first document is sent. Exit status: 0, or 2 with the reason.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import httpx
import typer
import yaml

from outrig.agent.template import read_variable
from outrig.cli.asking import Api, Authority, Kubeconfig, Refused, Server, Token, access_of, asking
from outrig.cli.documents import Document, documents_of
from outrig.cli.places import DEFAULT_MESH, Target, collection_path, is_kuma, kind_named, target_of
from outrig.cli.tables import kube_table, kuma_table, table
from outrig.dialects.kuma.document import read

KUBE_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NOT_FOUND, CREATED = 404, 201

Files = Annotated[list[str], typer.Option("-f", "--file", help="file, directory, URL, or - for standard input")]
Variables = Annotated[list[str], typer.Option("-v", "--var", metavar="NAME=VALUE", help="fills in {{ NAME }}")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print what would be sent, and send nothing")]
Mesh = Annotated[str, typer.Option("-m", "--mesh", help="of resources that are in a mesh")]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="of resources that are in a namespace")]
Everywhere = Annotated[bool, typer.Option("-A", "--all", help="in all meshes, or all namespaces")]
KindWord = Annotated[str, typer.Argument(metavar="KIND", help="a kind: dataplanes, mesh, workloadgroups, …")]


class Output(StrEnum):
    """How resources are printed."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


Form = Annotated[Output, typer.Option("-o", "--output", help="table, yaml or json")]


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
    """Create the resources in some documents, or replace those that are there."""
    given = dict(map(read_variable, variables))
    documents = [document for name in files for document in documents_of(name, given)]
    targets = [(document, _judged(document)) for document in documents]
    if dry_run:
        typer.echo(yaml.safe_dump_all([dict(one.content) for one in documents], sort_keys=False), nl=False)
        return
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        for document, target in targets:
            typer.echo("\n".join(_applied(api, document, target)))


def get(
    kind: KindWord,
    name: Annotated[str, typer.Argument(help="of one resource; without it all are listed")] = "",
    *,
    mesh: Mesh = DEFAULT_MESH,
    namespace: Namespace = "default",
    everywhere: Everywhere = False,
    output: Form = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Show resources of a kind."""
    found = kind_named(kind)
    path = collection_path(found, "" if everywhere else mesh, "" if everywhere else namespace)
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        if output is Output.TABLE and not is_kuma(found):
            typer.echo(kube_table(api.ask("GET", f"{path}/{name}".rstrip("/"), accept=KUBE_TABLE).json()))
            return
        items = [api.read(f"{path}/{name}")] if name else list(_listed(api, path, paged=is_kuma(found)))
    if output is Output.TABLE:
        typer.echo(table(*kuma_table(found, items, now=datetime.now(UTC))) if items else "No resources found")
    else:
        typer.echo(_printed(items[0] if name else items, output), nl=False)


def delete(
    kind: KindWord,
    name: Annotated[str, typer.Argument(help="of the resource")],
    *,
    mesh: Mesh = DEFAULT_MESH,
    namespace: Namespace = "default",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Delete a resource."""
    found = kind_named(kind)
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        api.ask("DELETE", f"{collection_path(found, mesh, namespace)}/{name}")
    typer.echo(f"{found.name} {name} deleted")


def _judged(document: Document) -> Target:
    """What it is about. Documents of Kuma's form are read as the control plane will. Raises OutrigError."""
    target = target_of(document)
    if document.type:
        read(document.content)
    return target


def _applied(api: Api, document: Document, target: Target) -> Iterator[str]:
    answer = _put_kuma(api, document, target) if document.type else _put_kube(api, document, target)
    outcome, warnings = answer
    yield f"{target.shown} {outcome}"
    yield from (f"  warning: {warning}" for warning in warnings)


def _put_kuma(api: Api, document: Document, target: Target) -> tuple[str, Sequence[str]]:
    answer = api.ask("PUT", target.path, document=dict(document.content))
    return "created" if answer.status_code == CREATED else "replaced", answer.json().get("warnings") or ()


def _put_kube(api: Api, document: Document, target: Target) -> tuple[str, Sequence[str]]:
    try:
        stored = api.read(target.path)
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        answer = api.ask("POST", target.collection, document=dict(document.content))
        return "created", _warnings(answer)
    metadata = {**document.content["metadata"], "resourceVersion": stored["metadata"]["resourceVersion"]}
    answer = api.ask("PUT", target.path, document={**document.content, "metadata": metadata})
    return "replaced", _warnings(answer)


def _listed(api: Api, path: str, *, paged: bool) -> Iterator[Mapping[str, Any]]:
    yield from api.read_all(path) if paged else api.read(path)["items"]


def _printed(found: object, output: Output) -> str:
    if output is Output.JSON:
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    documents = found if isinstance(found, list) else [found]
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)


def _warnings(answer: httpx.Response) -> list[str]:
    """Those of Kubernetes' form: `299 - "text"`."""
    return [one.partition('"')[2].removesuffix('"') for one in answer.headers.get_list("warning")]
