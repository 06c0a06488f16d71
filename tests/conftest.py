"""Options of all tests, and what they take for granted of whoever starts them."""

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; review the difference")


def pytest_configure(config: pytest.Config) -> None:
    """A shell has its background jobs ignore SIGINT, and programs inherit that: those under test must hear it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
