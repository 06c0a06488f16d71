"""Documents that are the same for everybody, in the forms that clients take, and sent once to each.

In: a request and the forms of what it asks for. Out: 200, or 304 without a body. Refuses (406) a header Accept that
none of the forms fits. The headers are those of Kubernetes: ETag, and Vary for the caches between.
https://github.com/kubernetes/kube-openapi/blob/master/pkg/handler/handler.go
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from outrig.api.kube.forms import media_ranges
from outrig.api.refusals import ApiError

JSON: Final = "application/json"
FOR_EVER: Final = "public, immutable, max-age=31536000"


@dataclass(frozen=True, slots=True)
class Rendition:
    """A document in one form. `tag` is the hash of its text; `also` another name by which clients ask for the form."""

    text: bytes
    tag: str
    media: str = JSON
    also: str = ""


def rendition(text: bytes, *, media: str = JSON, also: str = "") -> Rendition:
    """The form of a text."""
    return Rendition(text, hashlib.sha256(text).hexdigest()[:32].upper(), media, also)


def respond_with(request: Request, forms: Sequence[Rendition]) -> Response:
    """The first form that the client takes. Raises ApiError (406)."""
    form = _chosen(forms, request.headers.get("accept") or "*/*")
    headers = {"etag": f'"{form.tag}"', "vary": "Accept"}
    if request.query_params.get("hash") == form.tag:  # such a URL has one content for ever
        headers["cache-control"] = FOR_EVER
    if _has(request.headers.get("if-none-match", ""), form):
        return Response(status_code=304, headers=headers)
    return Response(form.text, headers=headers, media_type=form.media)


def _chosen(forms: Sequence[Rendition], accept: str) -> Rendition:
    for media, _ in media_ranges(accept):
        for form in forms:
            kind = form.media.partition("/")[0]
            if media in (form.media, form.also, f"{kind}/*", "*/*"):
                return form
    named = ", ".join(form.media for form in forms)
    raise ApiError("NotAcceptable", f"only the following media types are accepted: {named}")


def _has(condition: str, form: Rendition) -> bool:
    """Whether `If-None-Match` names the form: https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match"""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return f'"{form.tag}"' in tags or "*" in tags
