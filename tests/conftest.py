"""Options of all tests, and what they take for granted of whoever starts them."""

import signal
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {f"tests/e2e/test_guide_{part}.py": "the guide" for part in ("configuration", "life", "why")}
"""Files that share what takes long to start: one process runs them all."""

APART: Final = ("tests/e2e/kubectl/test_transcripts.py",)
"""Files whose tests share nothing and take long: each test goes to whichever process is free."""


class Scenes(LoadScopeScheduling):
    """Gives each process a file at a time, or several that share a scene, or one test of those that share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else TOGETHER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scenes | None:
    return Scenes(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; review the difference")


def pytest_configure(config: pytest.Config) -> None:
    """A shell has its background jobs ignore SIGINT, and programs inherit that: those under test must hear it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
