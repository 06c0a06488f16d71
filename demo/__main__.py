"""Plays all steps, prints what each shows, ends with `N passed, M failed`; exit status 0 only when nothing failed."""

import argparse
import signal
import sys
import time

from demo.programme import SCENES, STEPS
from demo.stage import Stage, StageLost, StepFailed, open_stage
from demo.steps import Step
from outrig.errors import OutrigError

SETTING = 2  # so many steps set the stage for all others
OPENINGS = {scene[0]: heading for heading, scene in SCENES.items()}


def play(stage: Stage, number: int, step: Step) -> bool:
    """Play one step; whether it held. Raises StageLost."""
    if heading := OPENINGS.get(step):
        print(f"{heading}\n", flush=True)
    title = (step.__doc__ or step.__name__).strip().splitlines()[0].rstrip(".")
    print(f"{number:2} {title}", flush=True)
    started = time.monotonic()
    problem = ""
    try:
        step(stage)
    except StageLost:
        raise
    except (StepFailed, OutrigError, OSError, AssertionError, KeyError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    stage.show(problem)
    print(f"   {'FAILED' if problem else 'ok'}, {time.monotonic() - started:.1f} s", flush=True)
    return not problem


def play_all(stage: Stage) -> list[bool]:
    """Which steps held. Those that could not be played, since the stage was lost or never set, did not."""
    outcomes: list[bool] = []
    try:
        for number, step in enumerate(STEPS, start=1):
            outcomes.append(play(stage, number, step))
            if number <= SETTING and not outcomes[-1]:
                print(f"without this step the others can show nothing\n{stage.launcher_log()}")
                break
    except StageLost as lost:
        stage.show(str(lost))
    return outcomes + [False] * (len(STEPS) - len(outcomes))


def main() -> int:
    """Play; a SIGTERM ends it as Ctrl-C does."""
    argparse.ArgumentParser(prog="python -m demo", description=__doc__).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    print(f"{len(STEPS)} steps, two to three minutes\n", flush=True)
    try:
        with open_stage() as stage:
            outcomes = play_all(stage)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind", file=sys.stderr)
        return 130
    print(f"\n{time.monotonic() - started:.0f} s")
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
