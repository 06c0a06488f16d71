"""Bookinfo's reviews, in three versions: `GET /reviews/ID`. usage: reviews.py v1|v2|v3

v1 does not ask ratings; v2 shows its stars black, v3 red.
"""

import re
import sys
from typing import Any

from bookinfo import Answer, Headers, call, serve

COLOURS = {"v1": "", "v2": "black", "v3": "red"}
TEXTS = {
    "Reviewer1": "Mistaken for my own brother twice while reading it. Recommended.",
    "Reviewer2": "Less noise than his tragedies, and nobody has to die.",
}


def reviews(version: str, book: str, headers: Headers) -> dict[str, Any]:
    """The reviews of a book, with stars if the version asks for them; what is missing is said."""
    colour = COLOURS[version]
    answered = call("ratings", f"/ratings/{book}", headers) if colour else None
    stars = (answered or {}).get("ratings", {})
    found: list[dict[str, Any]] = []
    for reviewer, text in TEXTS.items():
        review: dict[str, Any] = {"reviewer": reviewer, "text": text}
        if reviewer in stars:
            review["rating"] = {"stars": stars[reviewer], "color": colour}
        elif colour:
            review["rating"] = {"error": "Ratings are currently unavailable"}
        found.append(review)
    return {"id": book, "version": version, "reviews": found}


def main() -> None:
    """Serve one version."""
    version = sys.argv[1]

    def answer(path: str, headers: Headers) -> Answer | None:
        found = re.fullmatch(r"/reviews/(\d+)", path)
        return (200, reviews(version, found[1], headers)) if found else None

    serve(f"reviews-{version}", answer)


if __name__ == "__main__":
    main()
