"""A part of `make zero-drop`: no call is lost while tasks come and go, whoever calls in whatever way."""

import re
from collections.abc import Iterator

import pytest

from bench.zero_drop.clients import CLIENTS
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


def test_only_what_was_in_progress_is_lost_with_an_application_that_dies(bookinfo: Bookinfo) -> None:
    outcome = outcome_of(bookinfo, "application-killed")
    for account in outcome.accounts:
        assert account.failed <= IN_PROGRESS, outcome.accounts


def test_the_page_shows_every_event_and_nothing_lost_that_need_not_be() -> None:
    page = (ROOT / "docs" / "zero-drop.md").read_text(encoding="utf-8")
    for event in EVENTS.values():
        assert f"| {event.title} |" in page, event.name
    marked = re.findall(r"\*\*(\d+)\*\*", page)
    assert len(marked) == len(CLIENTS) * sum(event.lossless for event in EVENTS.values())
    assert set(marked) == {"0"}
