"""The pages are true: links lead somewhere, every error code is explained, every file named exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"\b(OUT\d{3})\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def codes_in_use() -> set[str]:
    return {code for path in (ROOT / "outrig").rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_every_error_code_is_documented_once_and_no_other() -> None:
    rows = re.findall(r"^\| `(OUT\d{3})` \|", (ROOT / "docs/errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == codes_in_use() - {"OUT000"}
