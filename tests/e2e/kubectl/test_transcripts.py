"""The pages of docs/kubectl, typed into every kubectl that is here: each prints what its page says."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.e2e.kubectl.running import PINNED, REPOSITORY, binaries, running_api
from tests.e2e.kubectl.transcripts import Command, File, read

PAGES = sorted((REPOSITORY / "docs" / "kubectl").glob("*.md"))
BINARIES = binaries()


@pytest.mark.parametrize("version", PINNED)
def test_the_pinned_kubectl_is_here(version: str) -> None:
    assert BINARIES[version].is_file(), f"{BINARIES[version]} is missing: make setup fetches it"


@pytest.mark.parametrize("version", BINARIES)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_kubectl_prints_what_its_page_says(page: Path, version: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "bin").mkdir(parents=True)
    (work / "bin" / "kubectl").symlink_to(BINARIES[version])
    minor = int(version.split(".")[1])
    async with running_api(tmp_path) as api:
        surroundings = _surroundings(work, api.home)
        for step in read(page.read_text(encoding="utf-8")):
            if isinstance(step, File):
                (work / step.name).parent.mkdir(exist_ok=True)
                (work / step.name).write_text(step.text)
            elif minor >= step.since:
                await _check(step, work, surroundings)


def _surroundings(work: Path, home: Path) -> dict[str, str]:
    path = f"{work / 'bin'}:{os.environ['PATH']}"
    home_files = {"HOME": str(home), "KUBECONFIG": str(home / "kubeconfig"), "TMPDIR": str(home)}
    return {"PATH": path, "LANG": "C.UTF-8", **home_files}


async def _check(command: Command, work: Path, surroundings: dict[str, str]) -> None:
    output, code = await _type(command.text, work, surroundings)
    told = f"$ {command.text}\n{output}(exit {code})\ninstead of\n" + "\n".join(command.printed)
    assert command.matches(output), told
    assert (code != 0) is command.fails, told


async def _type(text: str, work: Path, surroundings: dict[str, str]) -> tuple[str, int]:
    """What a shell prints, errors included, and how it ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, cwd=work, env=surroundings, stdin=asyncio.subprocess.DEVNULL, stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output.decode(), process.returncode or 0
