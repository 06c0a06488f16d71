"""The query parameters of a list or watch.

In: query parameters. Out: `ListOptions`. Refuses (400) what is no number, and (422) parameters that contradict each
other, by the rules of apimachinery's ValidateListOptions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from outrig.api.kube.statuses import Subject, invalid
from outrig.api.refusals import Cause, bad_request


class Match(StrEnum):
    """What the `resourceVersion` of a list means."""

    NOT_OLDER = "NotOlderThan"
    EXACT = "Exact"


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`limit` 0: all. `revision` None: whatever there is now; a watch with `initial` begins with that."""

    limit: int = 0
    token: str = ""
    revision: int | None = None
    match: Match = Match.NOT_OLDER
    initial: bool | None = None
    seconds: int = 0
    bookmarks: bool = False


def list_options(query: Mapping[str, str], subject: Subject, *, watching: bool) -> ListOptions:
    """From the query of a list or watch. Raises ApiError: 400, or 422 with every contradiction."""
    match = query.get("resourceVersionMatch", "")
    if causes := tuple(_contradictions(query, match, watching=watching)):
        raise invalid(Subject("meta.k8s.io", subject.plural, "ListOptions"), causes)
    revision, token = number(query, "resourceVersion"), query.get("continue", "")
    if token and revision:
        raise bad_request("specifying resource version is not allowed when using continue")
    told = query.get("sendInitialEvents")
    return ListOptions(
        limit=number(query, "limit"),
        token=token,
        revision=revision or None,
        match=Match(match or Match.NOT_OLDER),
        initial=told == "true" if told else None,
        seconds=number(query, "timeoutSeconds"),
        bookmarks=query.get("allowWatchBookmarks") == "true",
    )


def _contradictions(query: Mapping[str, str], match: str, *, watching: bool) -> Iterator[Cause]:
    initial, field = query.get("sendInitialEvents"), "resourceVersionMatch"
    if match and match not in set(Match):
        yield Cause(
            field, f'Unsupported value: "{match}": supported values: {", ".join(Match)}', "FieldValueNotSupported"
        )
    elif match and watching and not initial:
        yield _forbidden(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    elif match and not watching and not query.get("resourceVersion"):
        yield _forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    elif match == Match.EXACT and query.get("resourceVersion") == "0":
        yield _forbidden(field, "resourceVersionMatch Exact is forbidden for resourceVersion 0")
    if initial and not watching:
        yield _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    elif initial and match != Match.NOT_OLDER:
        yield _forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def number(query: Mapping[str, str], name: str) -> int:
    """A number of a query; 0 where it is not there. Raises ApiError (400)."""
    text = query.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_request(f"{name}: {text!r} is not one: it must be a number of at most 18 digits")
    return int(text)
