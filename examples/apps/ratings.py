"""Bookinfo's ratings: `GET /ratings/ID`."""

import re

from bookinfo import Answer, serve


def answer(path: str) -> Answer | None:
    """The ratings of a book."""
    found = re.fullmatch(r"/ratings/(\d+)", path)
    return (200, {"id": int(found[1]), "ratings": {"Reviewer1": 5, "Reviewer2": 4}}) if found else None


if __name__ == "__main__":
    serve("ratings", answer)
