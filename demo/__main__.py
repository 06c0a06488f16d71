"""Plays all steps, prints what each shows, ends with `N passed, M failed`; exit status 0 only when nothing failed."""

import signal
import sys
import time

from demo.stage import Stage, StepFailed, open_stage
from demo.steps import STEPS, Step
from outrig.errors import OutrigError


def play(stage: Stage, number: int, step: Step) -> bool:
    """Play one step; whether it held."""
    title = (step.__doc__ or step.__name__).strip().splitlines()[0].rstrip(".")
    print(f"{number:2} {title}", flush=True)
    started = time.monotonic()
    stage.notes.clear()
    problem = ""
    try:
        step(stage)
    except (StepFailed, OutrigError, OSError, AssertionError, KeyError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    for line in [*stage.notes, *problem.splitlines()]:
        print(f"      {line}")
    print(f"   {'FAILED' if problem else 'ok'}, {time.monotonic() - started:.1f} s", flush=True)
    return not problem


def main() -> int:
    """Play; a SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    outcomes: list[bool] = []
    try:
        with open_stage() as stage:
            outcomes = [play(stage, number, step) for number, step in enumerate(STEPS, start=1)]
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind", file=sys.stderr)
        return 130
    print(f"\n{time.monotonic() - started:.0f} s")
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
