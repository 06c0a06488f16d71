"""`outrig dp`, which is also the program `kuma-dp`: a data plane's command line. In: arguments. Out: an exit status.

`run` is the agent of `outrig agent run` with another way of being told what to do; `wait` returns once an agent on this
machine is ready. Imports only when needed: every task carries this process.
"""

import argparse
import os
import re
import sys
import time

from outrig import __version__
from outrig.agent import health_check
from outrig.agent.durations import seconds_of

_URL = re.compile(r"http://(?:127\.0\.0\.1|localhost):(\d{1,5})/ready", re.ASCII)
_HELP = "usage: kuma-dp run [flags] | wait [flags] | version\n"


def main(argv: list[str], link_local: str = "") -> int:
    """Run `outrig dp` with these arguments; the exit status. `link_local` is another than ECS's only in tests."""
    match argv:
        case ["run", *arguments]:
            return _run(arguments, link_local)
        case ["wait", *arguments]:
            return _wait(arguments)
        case ["version", *_]:
            print(f"kuma-dp of Outrig {__version__}")
            return 0
    asked = argv[:1] in (["--help"], ["-h"], ["help"])
    (sys.stdout if asked else sys.stderr).write(_HELP)
    return 0 if asked else 2


def _run(arguments: list[str], link_local: str) -> int:
    from outrig.agent.main import run
    from outrig.agent.setup import LINK_LOCAL, Setup

    def read() -> Setup:
        from outrig.agent.kuma_options import read_options
        from outrig.agent.kuma_setup import read_kuma_setup

        return read_kuma_setup(read_options(arguments, os.environ), os.environ, link_local or LINK_LOCAL)

    return run(read, name="kuma-dp")


def _wait(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="kuma-dp wait", description="Wait until the agent of this task is ready.")
    port = os.environ.get("KUMA_READINESS_PORT", "") or str(health_check.PORT)
    parser.add_argument("--url", default=f"http://127.0.0.1:{port}/ready", help="where the agent is asked")
    parser.add_argument("--timeout", type=_span, default=180.0, metavar="DURATION", help="such as 180s")
    parser.add_argument("--check-frequency", type=_span, default=1.0, metavar="DURATION", help="such as 1s")
    told = parser.parse_args(arguments)
    asked = _URL.fullmatch(told.url)
    if asked is None:
        parser.error(f"--url: expected http://127.0.0.1:PORT/ready, got {told.url!r}")
    end = time.monotonic() + told.timeout
    while True:
        ready, line = health_check.ask(int(asked[1]))
        if ready or time.monotonic() >= end:
            print(line)
            return 0 if ready else 1
        time.sleep(min(told.check_frequency, max(0.0, end - time.monotonic())))


def _span(text: str) -> float:
    found = seconds_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected a duration such as 10s, got {text!r}")
    return found
