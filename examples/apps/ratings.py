"""Bookinfo's ratings: `GET /ratings/ID`."""

import re

from bookinfo import Answer, Headers, serve


def answer(path: str, headers: Headers) -> Answer | None:  # noqa: ARG001 - asks nobody
    """The ratings of a book."""
    found = re.fullmatch(r"/ratings/(\d+)", path)
    return (200, {"id": int(found[1]), "ratings": {"Reviewer1": 5, "Reviewer2": 4}}) if found else None


if __name__ == "__main__":
    serve("ratings", answer)
