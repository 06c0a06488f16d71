"""An explanation as people read it: a line a step, what belongs to it below, and the verdict at the end."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from outrig.why.explanation import Explanation, Step, Verdict

WIDTH: Final = 100
_INDENT: Final = 24  # where what a step says begins
_WORDS: Final = {Verdict.OK: "ok", Verdict.DOUBTFUL: "doubtful", Verdict.STOPS: "STOPS"}


def lines_of(explanation: Explanation) -> Iterator[str]:
    """The lines: the question as it is, then lines of at most `WIDTH` unless a name is longer than that."""
    yield f"{explanation.caller} calls {explanation.target}"
    for number, step in enumerate(explanation.steps, 1):
        yield from _step(number, step)
    yield ""
    yield from wrap(explanation.summary, WIDTH, break_long_words=False, break_on_hyphens=False)


def _step(number: int, step: Step) -> Iterator[str]:
    head = f"{number} {step.part:<12} {_WORDS[step.verdict]}".ljust(_INDENT)
    below = [*step.notes, *([f"→ {step.do}"] if step.do else [])]
    for text in [step.says, *below]:
        for line in _wrapped(text):
            yield head + line
            head = " " * _INDENT


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False) or [""]
