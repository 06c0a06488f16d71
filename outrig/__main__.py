"""`outrig`: sends each command to its part. `outrig agent` runs in every task, so it loads nothing but itself."""

import sys


def main() -> int:
    """Run the command line; gives the exit status."""
    if sys.argv[1:2] == ["agent"]:
        from outrig.agent.main import main as agent  # the lean path: no typer, no rich

        return agent(sys.argv[2:])
    from outrig.cli.main import main as cli

    return cli()


if __name__ == "__main__":
    sys.exit(main())
