"""Requests in one spelling, where Kubernetes takes several.

In: the scope of a request. Out: the same, with each parameter of its query once (of repeated ones the first counts, as
Go's `Values.Get` has it), and a watch on the path of its list, where older clients write `/api/v1/watch/services`.
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

_WATCH: Final = re.compile(r"(/api/[^/]+|/apis/[^/]+/[^/]+)/watch(/.+)")
_READS: Final = ("GET", "HEAD")


def respelled(scope: Scope) -> Scope:
    """The request as all that follows reads it."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query, path = dict(reversed(pairs)), scope["path"]
    if scope["method"] in _READS and (older := _WATCH.fullmatch(path)):
        query, path = {**query, "watch": "true"}, older[1] + older[2]
    return {**scope, "path": path, "query_string": urlencode(query).encode()}
