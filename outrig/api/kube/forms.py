"""In which form a client wants its answer: whole objects, a table, or metadata alone; JSON or YAML.

In: the Accept header, resources. Out: the document to send. Refuses (406) a header that nothing we write fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from outrig.api.kube.catalog import Target
from outrig.api.kube.documents import document, partial
from outrig.api.kube.pages import Page
from outrig.api.kube.tables import TableForm, empty_table, table
from outrig.api.refusals import ApiError
from outrig.resources import Resource

Media = Literal["application/json", "application/yaml"]


@dataclass(frozen=True, slots=True)
class Form:
    """How to write an answer. `table` for a Table, `partial` for PartialObjectMetadata, neither for whole objects."""

    table: TableForm | None = None
    partial: bool = False
    media: Media = "application/json"


def negotiate(accept: str, include: str = "") -> Form:
    """The first form in an Accept header that we write. Raises ApiError (406)."""
    for media, options in media_ranges(accept or "*/*"):
        if form := _form(media, options, include or "Metadata"):
            return form
    raise ApiError("NotAcceptable", "only the following media types are accepted: application/json, application/yaml")


def asks_aggregated(accept: str) -> str:
    """The version of apidiscovery.k8s.io that a client takes; empty for none."""
    for _, options in media_ranges(accept):
        named = (options.get("g"), options.get("as"))
        if named == ("apidiscovery.k8s.io", "APIGroupDiscoveryList") and options.get("v") in ("v2", "v2beta1"):
            return options["v"]
    return ""


def one(resource: Resource, target: Target, form: Form, now: datetime) -> dict[str, Any]:
    """The answer that is one resource."""
    if form.table:
        return _table(Page((resource,), resource.revision), target, form.table, now)
    return partial(resource) if form.partial else document(resource, kind=target.kind, version=target.version)


def many(found: Page, target: Target, form: Form, now: datetime) -> dict[str, Any]:
    """The answer that is a list."""
    if form.table:
        return _table(found, target, form.table, now)
    items = [one(resource, target, form, now) for resource in found.items]
    return {**_listed(target.kind.name, target.api_version, form), "metadata": found.metadata(), "items": items}


def none_of(kind: str, version: str, form: Form) -> dict[str, Any]:
    """The answer that is an empty list of a kind that is not served."""
    if form.table:
        return empty_table(form.table)
    return {**_listed(kind, version, form), "metadata": Page((), 0).metadata(), "items": []}


def _listed(kind: str, version: str, form: Form) -> dict[str, Any]:
    if form.partial:
        return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
    return {"kind": f"{kind}List", "apiVersion": version}


def _table(found: Page, target: Target, form: TableForm, now: datetime) -> dict[str, Any]:
    return table(found, kind=target.kind, version=target.version, form=form, now=now)


def media_ranges(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What an Accept header takes, in its order: types in lower case, and their parameters."""
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        options = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if options.get("q") not in ("0", "0.0"):
            yield media.lower(), options


def _form(media: str, options: dict[str, str], include: str) -> Form | None:
    shape, is_meta = options.get("as"), options.get("g") == "meta.k8s.io" and options.get("v") in ("v1", "v1beta1")
    if media == "application/yaml" and not shape:
        return Form(media="application/yaml")
    if media not in ("application/json", "application/*", "*/*"):
        return None
    if not shape:
        return Form()
    if is_meta and shape == "Table":
        return Form(table=TableForm(options["v"], include))
    return Form(partial=True) if is_meta and shape in ("PartialObjectMetadata", "PartialObjectMetadataList") else None
