"""The query parameters of a list or watch.

In: query parameters. Out: `ListOptions`. Refuses (400) what is no number, and (422) parameters that contradict each
other, by the rules of apimachinery's ValidateListOptions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from outrig.api.kube.statuses import Subject, invalid
from outrig.api.numbers import DIGITS, whole
from outrig.api.refusals import Cause, bad_request


class Match(StrEnum):
    """What the `resourceVersion` of a list means."""

    NOT_OLDER = "NotOlderThan"
    EXACT = "Exact"


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`limit` 0: all. `revision` None: whatever there is now.

    A watch with `initial` begins with what there is, and tells where that ends if it is `marked`.
    """

    limit: int = 0
    token: str = ""
    revision: int | None = None
    match: Match = Match.NOT_OLDER
    initial: bool = False
    seconds: int = 0
    bookmarks: bool = False
    marked: bool = False


def list_options(query: Mapping[str, str], subject: Subject, *, watching: bool) -> ListOptions:
    """From the query of a list or watch. Raises ApiError: 400, or 422 with every contradiction."""
    match, token = query.get("resourceVersionMatch", ""), query.get("continue", "")
    if causes := tuple((_of_watch if watching else _of_list)(query, match)):
        raise invalid(Subject("meta.k8s.io", subject.plural, "ListOptions"), causes)
    revision, limit = number(query, "resourceVersion"), number(query, "limit")
    if token and revision:
        raise bad_request("specifying resource version is not allowed when using continue")
    return ListOptions(
        limit=limit,
        token=token,
        revision=revision or None,
        # A list that is to come in pieces from a revision means that one, if it does not say otherwise.
        match=Match(match or (Match.EXACT if limit and revision else Match.NOT_OLDER)),
        initial=flag(query, "sendInitialEvents") if "sendInitialEvents" in query else not revision,
        seconds=number(query, "timeoutSeconds"),
        bookmarks=flag(query, "allowWatchBookmarks"),
        marked=flag(query, "sendInitialEvents"),
    )


def _of_list(query: Mapping[str, str], match: str) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if match and not query.get("resourceVersion"):
        yield _forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match and query.get("continue"):
        yield _forbidden(field, "resourceVersionMatch is forbidden when continue is provided")
    if match not in ("", *Match):
        yield _unsupported(field, match, '"Exact", "NotOlderThan", ""')
    if match == Match.EXACT and query.get("resourceVersion") == "0":
        yield _forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if "sendInitialEvents" in query:
        yield _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _of_watch(query: Mapping[str, str], match: str) -> Iterator[Cause]:
    field, initial = "resourceVersionMatch", "sendInitialEvents" in query
    if initial and match != Match.NOT_OLDER:
        yield _forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if match and not initial:
        yield _forbidden(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    if match and match != Match.NOT_OLDER:
        yield _unsupported(field, match, '"NotOlderThan"')
    if match and query.get("continue"):
        yield _forbidden(field, "resourceVersionMatch is forbidden when continue is provided")


def _unsupported(field: str, value: str, known: str) -> Cause:
    return Cause(field, f'Unsupported value: "{value}": supported values: {known}', "FieldValueNotSupported")


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def number(query: Mapping[str, str], name: str) -> int:
    """A number of a query; 0 where it is not there. Raises ApiError (400)."""
    text = query.get(name) or "0"
    if (found := whole(text)) is None:
        raise bad_request(f"{name}: {text!r} is not one: it must be a number of at most {DIGITS} digits")
    return found


def flag(query: Mapping[str, str], name: str) -> bool:
    """Yes or no of a query, as apimachinery reads it: whatever is there and does not say no."""
    return query.get(name, "0").lower() not in ("0", "false")
