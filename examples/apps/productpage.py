"""Bookinfo's productpage: `GET /productpage` is the page of a book, made of what details and reviews answer.

What cannot be had is said on the page, and the page is 200 all the same, as a shop would have it.
"""

from html import escape
from typing import Any

from bookinfo import Answer, Headers, call, serve

BOOK = "0"
TITLE = "The Comedy of Errors"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:44rem;margin:2rem auto}.black{color:#222}.red{color:#c00}"
    "dt{float:left;clear:left;width:8rem}"
)


def answer(path: str, headers: Headers) -> Answer | None:
    """The page, or one of its parts as JSON."""
    if path in ("/", "/productpage"):
        return 200, page(call("details", f"/details/{BOOK}", headers), call("reviews", f"/reviews/{BOOK}", headers))
    if path == f"/api/v1/products/{BOOK}":
        return part(call("details", f"/details/{BOOK}", headers), "details")
    if path == f"/api/v1/products/{BOOK}/reviews":
        return part(call("reviews", f"/reviews/{BOOK}", headers), "reviews")
    return None


def part(found: dict[str, Any] | None, name: str) -> Answer:
    """What another service answered, handed on."""
    return (200, found) if found else (503, {"error": f"{name} are currently unavailable"})


def page(details: dict[str, Any] | None, reviews: dict[str, Any] | None) -> str:
    """The page of the book."""
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{TITLE}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{TITLE}</h1>\n{details_part(details)}\n{reviews_part(reviews)}\n</body></html>\n"
    )


def details_part(details: dict[str, Any] | None) -> str:
    """What the book is."""
    if details is None:
        return "<p>Product details are currently unavailable</p>"
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in details.items() if name != "id")
    return f"<h2>Book details</h2><dl>{''.join(rows)}</dl>"


def reviews_part(reviews: dict[str, Any] | None) -> str:
    """What people say of it."""
    if reviews is None:
        return "<p>Product reviews are currently unavailable</p>"
    found = "\n".join(review_part(review) for review in reviews["reviews"])
    return f"<h2>Book reviews</h2>\n{found}\n<p>reviews {escape(str(reviews['version']))}</p>"


def review_part(review: dict[str, Any]) -> str:
    """One review, with its stars."""
    rating = review.get("rating", {})
    stars = f"<p class={rating['color']}>{'★' * rating['stars']}</p>" if "stars" in rating else ""
    problem = f"<p>{escape(rating['error'])}</p>" if "error" in rating else ""
    reviewer = f"<footer>{escape(review['reviewer'])}</footer>"
    return f"<blockquote>{escape(review['text'])}{reviewer}{stars}{problem}</blockquote>"


if __name__ == "__main__":
    serve("productpage", answer)
