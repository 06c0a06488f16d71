"""Lists: which resources a query asks for, and which part of them.

In: query parameters, resources. Out: the list document. Refuses sizes over 1000, offsets that are not ours and filters
on anything but labels. An offset names the last resource of the page before, so nothing is shown twice or left out when
others come and go meanwhile.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from outrig.api.kuma.catalog import DATAPLANE, id_of
from outrig.api.kuma.documents import all_labels
from outrig.api.kuma.refusals import RETRIEVE_MANY, Refusal, not_valid
from outrig.api.numbers import whole
from outrig.api.refusals import Cause
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.dataplane import networking_of
from outrig.dialects.kuma.dataplane_spec import Gateway
from outrig.resources import Resource

SIZE: Final = 100
MAX_SIZE: Final = 1000
ANY: Final = "*"
_FILTER: Final = "filter[labels."
_GATEWAYS: Final = ("true", "false", "builtin", "delegated")

Position = tuple[str, str]
Filter = Callable[[Resource], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """At most `size` resources that come after a mesh and name."""

    size: int = SIZE
    after: Position = ("", "")


def read_page(query: QueryParams) -> Page:
    """Which part of a list is asked for. Raises Refusal."""
    size = whole(query.get("size") or str(SIZE), digits=9)
    if not size:
        raise _wrong("size", "Invalid page size", "Invalid format")
    if size > MAX_SIZE:
        raise _wrong("size", "Invalid page size", f"invalid page size of {size}. Maximum page size is {MAX_SIZE}")
    return Page(size, _position(query.get("offset", "")))


def read_filter(query: QueryParams, kind: Kind) -> Filter:
    """Which resources are asked for. Raises Refusal."""
    name = query.get("name", "")
    labels = _label_filters(query)
    special = list(_dataplane_filters(query)) if id_of(kind) == DATAPLANE else []

    def fits(resource: Resource) -> bool:
        named = name in resource.key.name
        return named and labels.items() <= all_labels(resource, kind).items() and all(f(resource) for f in special)

    return fits


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """By mesh and name, as they are listed."""
    return sorted(resources, key=_place)


def on_page(found: Iterable[Resource], page: Page) -> list[Resource]:
    """What is shown of what was found, which is in order."""
    return list(islice((resource for resource in found if _place(resource) > page.after), page.size))


def listed(
    request: Request, found: Sequence[Resource], page: Page, write: Callable[[Resource], dict[str, Any]]
) -> dict[str, Any]:
    """The list document: one page of what was found, which is in order, and where the next one is."""
    shown = on_page(found, page)
    is_last = not shown or shown[-1] is found[-1]
    return {
        "total": len(found),
        "items": [write(resource) for resource in shown],
        "next": None if is_last else _next(request, shown[-1]),
    }


def _label_filters(query: QueryParams) -> dict[str, str]:
    """The labels that are asked for. Raises Refusal."""
    found: dict[str, str] = {}
    causes = []
    for key, value in query.multi_items():
        label = key.removeprefix(_FILTER).removesuffix("]")
        if key.startswith("filter") and not (key.startswith(_FILTER) and key.endswith("]")):
            causes.append(Cause(key, f"filters are only supported on labels: {_FILTER}NAME]=VALUE"))
        elif key.startswith("filter") and label in found:
            causes.append(Cause(key, "is there twice"))
        elif key.startswith("filter"):
            found[label] = value
    if causes:
        raise not_valid(causes, title=RETRIEVE_MANY)
    return found


def _dataplane_filters(query: QueryParams) -> Iterator[Filter]:
    tags = [(key, value or ANY) for key, _, value in (text.partition(":") for text in query.getlist("tag"))]
    if tags:
        yield lambda dataplane: any(_carries(dict(here), tags) for here in networking_of(dataplane).identified)
    asked = query.get("gateway", "")
    if asked and asked not in _GATEWAYS:
        raise not_valid([Cause("gateway", f"must be one of {', '.join(_GATEWAYS)}")], title=RETRIEVE_MANY)
    if asked:
        yield lambda dataplane: _gateway_fits(networking_of(dataplane).gateway, asked)


def _carries(here: Mapping[str, str], tags: Iterable[tuple[str, str]]) -> bool:
    return all(here.get(key) == value or (value == ANY and key in here) for key, value in tags)


def _gateway_fits(gateway: Gateway | None, asked: str) -> bool:
    if gateway is None or asked == "false":
        return gateway is None and asked == "false"
    return asked in ("true", gateway.type.lower())


def _place(resource: Resource) -> Position:
    return resource.key.mesh, resource.key.name


def _next(request: Request, last: Resource) -> str:
    offset = base64.urlsafe_b64encode("/".join(_place(last)).encode()).decode()
    query = [(key, value) for key, value in request.query_params.multi_items() if key != "offset"]
    scope = request.scope
    host = request.headers.get("host") or "{}:{}".format(*(scope.get("server") or ("localhost", "")))
    return f"{scope['scheme']}://{host}{quote(scope['path'])}?{urlencode([*query, ('offset', offset)])}"


def _position(offset: str) -> Position:
    try:
        mesh, slash, name = base64.b64decode(offset.encode(), altchars=b"-_", validate=True).decode().partition("/")
    except (binascii.Error, ValueError):
        raise _wrong("offset", "Invalid offset", "Invalid format") from None
    if offset and not slash:
        raise _wrong("offset", "Invalid offset", "Invalid format")
    return mesh, name


def _wrong(field: str, detail: str, message: str) -> Refusal:
    return not_valid([Cause(field, message)], title=RETRIEVE_MANY, detail=detail)
