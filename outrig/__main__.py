"""`outrig`: sends each command to its part. Those that run in every task load nothing but themselves.

`kuma-dp` and `kuma-cp` are the same program by the names that task definitions of Kuma and Kong Mesh have.
"""

import os
import sys
from collections.abc import Callable
from typing import Final

_INTERRUPTED: Final = 130
_OF_LOCAL: Final = frozenset({"dns", "moto", "werkzeug"})


def main() -> int:
    """Run the command line; gives the exit status."""
    return _guarded(lambda: _dispatch(sys.argv[1:]))


def kuma_dp() -> int:
    """`kuma-dp …` is `outrig dp …`."""
    sys.argv[1:1] = ["dp"]
    return main()


def kuma_cp() -> int:
    """`kuma-cp …` is `outrig cp …`, under its own name."""
    return _guarded(_kuma_cp)


def _guarded(work: Callable[[], int]) -> int:
    try:
        return work()
    except KeyboardInterrupt:  # while a part is loaded; each handles it by itself once it runs
        return _INTERRUPTED
    except ModuleNotFoundError as error:
        return _say_missing(error)


def _kuma_cp() -> int:
    from outrig.cli.main import kuma_cp as cli

    return cli()


def _dispatch(argv: list[str]) -> int:
    if argv == ["agent", "healthy"]:
        from outrig.agent.health_check import main as healthy  # every few seconds, in every task

        return healthy()
    if argv[:1] == ["agent"]:
        from outrig.agent.main import main as agent  # the lean path: no typer, no rich

        return agent(argv[1:])
    if argv[:1] == ["dp"]:
        from outrig.agent.kuma_dp import main as dataplane  # likewise

        return dataplane(argv[1:])
    if argv[:1] == ["app-entrypoint"]:
        from outrig.agent.entrypoint import main as entrypoint  # leaner still

        return entrypoint(argv[1:], os.environ)
    from outrig.cli.main import main as cli

    return cli()


def _say_missing(error: ModuleNotFoundError) -> int:
    """An installation may have the agent alone: what a task needs is little. Raises what is a fault of ours."""
    name = (error.name or "").partition(".")[0]
    if name in ("", "outrig"):
        raise error
    extra = "local" if name in _OF_LOCAL else "control-plane"
    hint = f"pip install '.[{extra}]' in the directory of its source"
    print(f"outrig: {name} is not installed, only the agent is: {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
