"""`python -m bench.zero_drop`: what is lost while tasks come and go. Status 1 if a call was lost that need not be.

usage: python -m bench.zero_drop [--only EVENT ...] [--page FILE]
Without `--only`, all events; the page is written only then.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.zero_drop.clients import CLIENTS
from bench.zero_drop.events import EVENTS, Event
from bench.zero_drop.page import page
from bench.zero_drop.running import Outcome, run
from bench.zero_drop.scene import TASKS, opened
from tests.e2e.guide import ROOT


def main() -> int:
    """Run it."""
    options = _arguments()
    events = [EVENTS[name] for name in options.only or EVENTS if _can_be_done(EVENTS[name])]
    begun, outcomes = time.monotonic(), list[Outcome]()
    with tempfile.TemporaryDirectory(prefix="zero-drop-") as directory, opened(Path(directory), TASKS) as bookinfo:
        _say(f"the scene is up after {time.monotonic() - begun:.0f} s")
        for outcome in run(bookinfo, events, tuple(CLIENTS), _say):
            outcomes.append(outcome)
            if not options.only:
                options.page.write_text(page(outcomes), encoding="utf-8")
    lost = sum(outcome.lost for outcome in outcomes)
    _say(f"{lost} calls lost that need not be, after {time.monotonic() - begun:.0f} s in all")
    return 1 if lost else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.zero_drop", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=EVENTS, metavar="EVENT", help=", ".join(EVENTS))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "zero-drop.md")
    return parser.parse_args()


def _can_be_done(event: Event) -> bool:
    if not event.possible:
        _say(f"{event.name}: left out, there is no `{event.needs}` on this machine")
    return event.possible


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
