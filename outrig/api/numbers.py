"""Whole numbers that clients write as text.

In: a text. Out: its number, or None for every other text. Python itself refuses to read thousands of digits, and a
database to keep more than 64 bits, so the digits are counted first.
"""

from typing import Final

DIGITS: Final = 18
"""So many always fit into 64 bits."""


def whole(text: str, *, digits: int = DIGITS) -> int | None:
    """The number of at most so many digits that a text spells with nothing but them."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
