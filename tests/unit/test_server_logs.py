"""What the control plane's log lets through at each level."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from outrig.server.logs import configure_logs

OURS, THEIRS = logging.getLogger("outrig.api.edge"), logging.getLogger("botocore.auth")
SAID = ("debug", "info", "warning", "error")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The loggers of this process are everybody's."""
    before, names = structlog.get_config(), ("", "outrig", "botocore", "boto3", "urllib3", "httpx", "httpcore")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    structlog.configure(**before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("level", SAID)
def test_a_level_lets_through_what_is_as_grave_and_all_of_the_audit_log(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    audited: list[str] = []
    configure_logs(audited.append, level=level)
    log = structlog.get_logger("some.module")
    for word in SAID:
        getattr(log, word)(f"said at {word}")
    structlog.get_logger("audit").info("write", code=201)
    told = [line.split('event="said at ')[1].rstrip('"') for line in capsys.readouterr().err.splitlines()]
    assert told == list(SAID[SAID.index(level) :])
    assert len(audited) == 1


def test_requests_are_told_at_debug_alone_and_libraries_never_so_much() -> None:
    for level, ours, theirs in (("debug", True, False), ("info", False, False), ("error", False, False)):
        configure_logs(level=level)
        assert OURS.isEnabledFor(logging.DEBUG) is ours
        assert THEIRS.isEnabledFor(logging.INFO) is theirs
    assert not THEIRS.isEnabledFor(logging.WARNING)
