"""Prints the longest functions and files, and fails where one is too long.

The length of a function is `end_lineno - lineno + 1`: from its `def` to its last line, docstring included, decorators
not. In `tests/` long files are shown but break nothing.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
HELD = ("outrig", "demo", "examples")
FUNCTION_LINES = 40
FILE_LINES = 400


class Size(NamedTuple):
    """How many lines something has, and where it is."""

    lines: int
    place: str


def functions(paths: list[Path]) -> list[Size]:
    """All functions, the longest first."""
    return sorted((size for path in paths for size in _functions(path)), reverse=True)


def files(paths: list[Path]) -> list[Size]:
    """All files, the longest first."""
    return sorted(
        (Size(len(path.read_text(encoding="utf-8").splitlines()), _name(path)) for path in paths), reverse=True
    )


def sources(*folders: str) -> list[Path]:
    """The Python files below those folders of the repository."""
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def too_long() -> list[Size]:
    """What breaks the limits."""
    held = sources(*HELD)
    long_functions = [size for size in functions(held) if size.lines > FUNCTION_LINES]
    return long_functions + [size for size in files(held) if size.lines > FILE_LINES]


def _functions(path: Path) -> Iterator[Size]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Size((node.end_lineno or node.lineno) - node.lineno + 1, f"{_name(path)}:{node.lineno} {node.name}")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _show(title: str, sizes: list[Size]) -> None:
    print(title, *(f"  {size.lines:4} {size.place}" for size in sizes), sep="\n")


def main() -> int:
    """Print the lists; gives the exit status."""
    held, broken = sources(*HELD), too_long()
    _show("longest functions", functions(held)[:10])
    _show("longest files", files(held)[:10])
    _show(f"tests over {FILE_LINES} lines", [size for size in files(sources("tests")) if size.lines > FILE_LINES])
    if broken:
        _show(f"over {FUNCTION_LINES} lines (functions) or {FILE_LINES} (files)", broken)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
