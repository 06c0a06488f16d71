"""docs/why.md is true: each of its examples, asked again, is answered as the page shows.

`pytest tests/unit/test_why_page.py --update-golden` writes the answers anew. The difference is what gets reviewed.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.why_making import Asking, Said, asking
from tests.unit.why_mesh import bookinfo, counter

PAGE = Path(__file__).parents[2] / "docs" / "why.md"
EXAMPLE = re.compile(r"```console\n\$ outrig (why .*)\n((?:.*\n)*?)```\n")
WIDTH = 100


@pytest.mark.slow
async def test_every_example_of_the_page_is_answered_as_shown(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shown = PAGE.read_text(encoding="utf-8")
    async with asking(tmp_path, *bookinfo(), *counter()) as api:
        answers = {command: await answered(api, command) for command, _ in EXAMPLE.findall(shown)}
    assert len(answers) > 15
    told = EXAMPLE.sub(lambda found: f"```console\n$ outrig {found[1]}\n{answers[found[1]].out}```\n", shown)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(told, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == told
    for said in answers.values():
        assert said.code == expected(said.out), said.out
        assert [line for line in said.out.splitlines() if len(line) > WIDTH and may_wrap(line)] == []


def may_wrap(line: str) -> bool:
    """Errors are one line, and a name stays in one piece."""
    return not line.startswith("OUT") and len(line.split()) > 1


def expected(shown: str) -> int:
    """The exit status, as the page says."""
    verdict = shown.splitlines()[-1]
    return 0 if verdict.startswith("would be answered") else 1 if verdict.startswith("stops at") else 2


async def answered(api: Asking, command: str) -> Said:
    """What a terminal shows, and how it ended."""
    _, *arguments = shlex.split(command)
    said = await api.why(*arguments)
    return Said(said.out + (said.err.rstrip() + "\n" if said.err else ""), "", said.code)
