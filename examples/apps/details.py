"""Bookinfo's details: `GET /details/ID`."""

import re

from bookinfo import Answer, Headers, serve

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}


def answer(path: str, headers: Headers) -> Answer | None:  # noqa: ARG001 - asks nobody
    """The details of a book."""
    found = re.fullmatch(r"/details/(\d+)", path)
    return (200, {"id": int(found[1]), **BOOK}) if found else None


if __name__ == "__main__":
    serve("details", answer)
