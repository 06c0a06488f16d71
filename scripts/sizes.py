"""Prints the ten longest functions and files of Outrig, for whoever wonders what to cut next."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "outrig"


def functions(path: Path) -> list[tuple[int, str]]:
    """(lines, place) of each function in a file."""
    found = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [((n.end_lineno or n.lineno) - n.lineno + 1, f"{path}:{n.lineno} {n.name}") for n in found]


def main() -> None:
    """Print both lists."""
    paths = sorted(ROOT.rglob("*.py"))
    longest = sorted((f for path in paths for f in functions(path)), reverse=True)[:10]
    largest = sorted(((len(path.read_text().splitlines()), str(path)) for path in paths), reverse=True)[:10]
    for title, rows in (("functions", longest), ("files", largest)):
        print(title)
        for lines, place in rows:
            print(f"  {lines:4} {place}")


if __name__ == "__main__":
    main()
