"""Transcripts: pages of commands and of what they print, read from Markdown and held against what they print now.

In: a page. Out: its steps, and whether an output is the one on the page. `docs/kubectl.md` says how pages are written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

FENCE: Final = re.compile(r"^```(?P<info>.+?)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME: Final = re.compile(r"# (?P<name>[\w.-]+/?[\w.-]+)\n")
ERROR: Final = re.compile(r"[Ee]rror|The \w+ \".*\" is invalid")
SINCE: Final = re.compile(r"console since=1\.(?P<minor>\d+)")

PLACEHOLDERS: Final = {
    "...": r".*",
    "<age>": r"(\d+[smhdy])+|<invalid>",
    "<uid>": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<revision>": r"\d+",
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "<suffix>": r"[a-z0-9]{5}",
}
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PLACEHOLDER: Final = re.compile("|".join(map(re.escape, PLACEHOLDERS)))


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page shows, beside which its commands run."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed at one prompt, and the lines it prints. `since`: the first kubectl 1.x that can do it."""

    text: str
    printed: tuple[str, ...]
    since: int = 0

    @property
    def fails(self) -> bool:
        """A command fails exactly where an error is printed."""
        return any(ERROR.match(line) for line in self.printed)

    def matches(self, output: str) -> bool:
        """Whether the output is what the page says: a line `...` stands for any lines; blank ones and widths aside."""
        lines = [line for line in map(_spaced, output.splitlines()) if line]
        pattern = "".join(r"(.*\n)*" if line == "..." else f"{_pattern(line)}\n" for line in self.printed)
        return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def read(page: str) -> tuple[File | Command, ...]:
    """The steps of a page, in order."""
    steps: list[File | Command] = []
    for block in FENCE.finditer(page):
        info, text = block["info"], block["text"]
        if info.startswith("console"):
            since = SINCE.fullmatch(info)
            steps += _commands(text.splitlines(), int(since["minor"]) if since else 0)
        elif named := FILE_NAME.match(text):
            steps.append(File(named["name"], text))
    return tuple(steps)


def _commands(lines: Sequence[str], since: int) -> Iterator[Command]:
    """A prompt is `$ `; lines that begin with `> ` continue what is typed."""
    prompts = [place for place, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(prompts, [*prompts[1:], len(lines)], strict=True):
        typed = [lines[start][2:]]
        while (place := start + len(typed)) < end and lines[place].startswith("> "):
            typed.append(lines[place][2:])
        printed = tuple(_spaced(line) for line in lines[start + len(typed) : end])
        yield Command("\n".join(typed), tuple(line for line in printed if line), since)


def _pattern(line: str) -> str:
    literals, found = _PLACEHOLDER.split(line), _PLACEHOLDER.findall(line)
    holes = [f"({PLACEHOLDERS[word]})" for word in found]
    return "".join(re.escape(text) + hole for text, hole in zip(literals, [*holes, ""], strict=True))


def _spaced(line: str) -> str:
    """Columns are as wide as what is in them, so the spaces between words count as one; an indentation stays."""
    text = COLOUR.sub("", line).expandtabs(8).rstrip()
    indentation = len(text) - len(text.lstrip())
    return text[:indentation] + re.sub(r" +", " ", text[indentation:])
