"""`outrig agent`: the command line. In: arguments. Out: an exit status, documented in `docs/agent.md`.

argparse, and imports only when needed.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from outrig.agent import health_check

if TYPE_CHECKING:
    from outrig.agent.setup import Setup


def main(argv: list[str], link_local: str = "") -> int:
    """Run `outrig agent` with these arguments; the exit status. `link_local` is another than ECS's only in tests."""
    arguments = _parser().parse_args(argv)
    return health_check.main() if arguments.command == "healthy" else _run(arguments, link_local)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="outrig agent", description="The sidecar agent of a task.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="join the mesh and run Envoy")
    run.add_argument("--onboarding-config", default="", metavar="FILE", help="instead of ONBOARDING_CONFIG")
    run.add_argument("--agent-config", default="", metavar="FILE", help="instead of AGENT_CONFIG")
    run.add_argument("--root-certs", default="", metavar="FILE", help="instead of ONBOARDING_AGENT_ROOT_CERTS")
    run.add_argument("--dir", default="", help="for keys and sockets; default /run/outrig")
    run.add_argument("--envoy", default="", metavar="PATH", help="the Envoy binary")
    run.add_argument("--log-level", default="", choices=("debug", "info", "warning", "error"))
    commands.add_parser("healthy", help="exit 0 if the agent of this task says it is ready")
    return parser


def _run(arguments: argparse.Namespace, link_local: str) -> int:
    from outrig.agent.setup import LINK_LOCAL, Flags, read_setup

    flags = Flags(
        onboarding_config=arguments.onboarding_config,
        agent_config=arguments.agent_config,
        root_certs=arguments.root_certs,
        directory=arguments.dir,
        envoy=arguments.envoy,
        log_level=arguments.log_level,
    )
    return run(lambda: read_setup(flags, os.environ, link_local or LINK_LOCAL), name="outrig agent")


def run(read: "Callable[[], Setup]", *, name: str) -> int:
    """Be the agent that `read` tells of, to its end; `name`: of the program. Ends the process."""
    import asyncio

    from outrig.agent.problems import Fatal
    from outrig.agent.sidecar import run as serve

    os.umask(0o077)
    with asyncio.Runner() as runner:
        try:
            setup = read()
            log_to_stderr(setup.log_level)
            status = runner.run(serve(setup))
        except Fatal as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = error.status
        leave(status)
    return status


def log_to_stderr(level: str) -> None:
    """One line a message: time in UTC, level, part, text."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.INFO)  # its debug lines repeat every frame
    logging.getLogger("asyncio").setLevel(logging.INFO)


def leave(status: int) -> None:
    """End the process now. A name lookup that hangs in a thread would otherwise hold it past its stop time."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
