"""`outrig`: sends each command to its part. Those that run in every task load nothing but themselves."""

import os
import sys


def main() -> int:
    """Run the command line; gives the exit status."""
    if sys.argv[1:] == ["agent", "healthy"]:
        from outrig.agent.health_check import main as healthy  # every few seconds, in every task

        return healthy()
    if sys.argv[1:2] == ["agent"]:
        from outrig.agent.main import main as agent  # the lean path: no typer, no rich

        return agent(sys.argv[2:])
    if sys.argv[1:2] == ["app-entrypoint"]:
        from outrig.agent.entrypoint import main as entrypoint  # leaner still

        return entrypoint(sys.argv[2:], os.environ)
    from outrig.cli.main import main as cli

    return cli()


if __name__ == "__main__":
    sys.exit(main())
