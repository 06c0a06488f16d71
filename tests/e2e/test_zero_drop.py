"""A part of `make zero-drop`: no call is lost while tasks come and go, whoever calls in whatever way."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.zero_drop.clients import CLIENTS
from bench.zero_drop.clock import COMPILER, LAUNCHER, write_clock
from bench.zero_drop.events import EVENTS
from bench.zero_drop.running import Outcome, run
from bench.zero_drop.scene import Bookinfo, opened
from tests.e2e.guide import ROOT

pytestmark = pytest.mark.slow

TASKS = {"ratings": 1, "reviews-v3": 1, "details": 1, "productpage": 2, "echo": 2}
IN_PROGRESS = 8  # streams, or TCP connections, at most: six begin in a second and each takes one


@pytest.fixture(scope="module")
def bookinfo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bookinfo]:
    with opened(tmp_path_factory.mktemp("zero-drop"), TASKS) as found:
        yield found


def outcome_of(bookinfo: Bookinfo, name: str) -> Outcome:
    (outcome,) = run(bookinfo, [EVENTS[name]], tuple(CLIENTS), print)
    assert all(account.sent > account.client.rate for account in outcome.accounts), outcome.accounts
    return outcome


@pytest.mark.parametrize("name", ["stop", "scale", "stop-together"])
def test_no_call_is_lost(bookinfo: Bookinfo, name: str) -> None:
    outcome = outcome_of(bookinfo, name)
    assert outcome.lost == 0, outcome.accounts


@pytest.mark.parametrize("name", ["application-killed", "task-killed"])
def test_only_what_was_in_progress_is_lost_with_what_is_killed(bookinfo: Bookinfo, name: str) -> None:
    outcome = outcome_of(bookinfo, name)
    for account in outcome.accounts:
        assert account.failed <= IN_PROGRESS, outcome.accounts


@pytest.mark.skipif(not shutil.which(COMPILER), reason=f"a clock of its own for a process needs `{COMPILER}`")
@pytest.mark.parametrize("ahead", [90, -25])
def test_a_process_has_the_clock_that_the_harness_gives_it(tmp_path: Path, ahead: int) -> None:
    write_clock(tmp_path / "clock", ahead)
    begun = int(time.time())
    said = int(subprocess.run([LAUNCHER, tmp_path / "clock", "date", "+%s"], capture_output=True, check=True).stdout)
    assert begun + ahead <= said <= time.time() + ahead
    write_clock(tmp_path / "clock", 0)
    said = int(subprocess.run([LAUNCHER, tmp_path / "clock", "date", "+%s"], capture_output=True, check=True).stdout)
    assert begun <= said <= time.time()


def test_the_page_shows_every_event_and_nothing_lost_that_need_not_be() -> None:
    page = (ROOT / "docs" / "zero-drop.md").read_text(encoding="utf-8")
    for event in EVENTS.values():
        assert f"| {event.title} |" in page, event.name
    marked = re.findall(r"\*\*(\d+)\*\*", page)
    assert len(marked) == len(CLIENTS) * sum(event.lossless for event in EVENTS.values())
    assert set(marked) == {"0"}
