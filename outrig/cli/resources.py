"""`outrig get`, `delete`: resources of either dialect. Exit status: 0, or 2 with the reason."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from outrig.cli.asking import Api, Authority, Kubeconfig, Server, Token, access_of, asking, near
from outrig.cli.places import DEFAULT_MESH, DEFAULT_NAMESPACE, collection_path, is_kuma, kind_named
from outrig.cli.tables import kube_table, kuma_table, table
from outrig.dialects.kind import Kind

KUBE_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
Mesh = Annotated[str, typer.Option("-m", "--mesh", help="of resources that are in a mesh; default: default")]
Namespace = Annotated[
    str, typer.Option("-n", "--namespace", help="of resources that are in a namespace; default: default")
]
Everywhere = Annotated[bool, typer.Option("-A", "--all", help="in all meshes, or all namespaces")]
KindWord = Annotated[str, typer.Argument(metavar="KIND", help="a kind: dataplanes, mesh, workloadgroups, …")]


class Output(StrEnum):
    """How resources are printed."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


Form = Annotated[Output, typer.Option("-o", "--output", help="table, yaml or json")]


def get(
    kind: KindWord,
    name: Annotated[str, typer.Argument(help="of one resource; without it all are listed")] = "",
    *,
    mesh: Mesh = "",
    namespace: Namespace = "",
    everywhere: Everywhere = False,
    output: Form = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Show resources of a kind."""
    found = kind_named(kind)
    path = _collection(found, mesh, namespace, everywhere=everywhere)
    sought = (path, name) if name else ("/meshes", mesh)
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api, near(api, *sought):
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
    mesh: Mesh = "",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Delete a resource."""
    found = kind_named(kind)
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        path = _collection(found, mesh, namespace)
        with near(api, path, name):
            api.ask("DELETE", f"{path}/{name}")
    typer.echo(f"{found.name} {name} deleted")


def _collection(kind: Kind, mesh: str, namespace: str, *, everywhere: bool = False) -> str:
    """Where resources of the kind are. Raises BadParameter for an option that says nothing of that kind."""
    if namespace and is_kuma(kind):
        where = ", but in a mesh: give --mesh" if kind.mesh_scoped and kind.name != "Mesh" else ""
        raise typer.BadParameter(f"--namespace: {kind.plural} are in no namespace{where}")
    if mesh and not is_kuma(kind):
        raise typer.BadParameter(f"--mesh: {kind.plural} are not in a mesh, but in a namespace: give --namespace")
    if everywhere:
        return collection_path(kind, "", "")
    return collection_path(kind, mesh or DEFAULT_MESH, namespace or DEFAULT_NAMESPACE)


def _listed(api: Api, path: str, *, paged: bool) -> Iterator[Mapping[str, Any]]:
    yield from api.read_all(path) if paged else api.read(path)["items"]


def _printed(found: object, output: Output) -> str:
    if output is Output.JSON:
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    documents = found if isinstance(found, list) else [found]
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
