"""Small generic pieces do what their one sentence says."""

import asyncio
from datetime import timedelta
from itertools import islice

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from outrig.errors import did_you_mean
from outrig.kit.aio import jittered_backoff
from outrig.kit.documents import Repeated, document_in, documents_in
from outrig.kit.durations import duration, in_words
from outrig.kit.tasks import running


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_in_words_is_read_back(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert duration(in_words(value)) == value


@pytest.mark.parametrize("text", ["", "5", "m", "1h 30m", "-5s", "5d", "5minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


def test_backoff_doubles_to_its_ceiling_and_never_leaves_its_upper_half() -> None:
    bounds = [1, 2, 4, 8, 8, 8]
    waits = list(islice(jittered_backoff(first=1, ceiling=8), len(bounds)))
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))


def test_a_hint_names_the_closest_word_or_the_known_ones() -> None:
    assert did_you_mean("raitngs", ["ratings", "details"]) == "did you mean 'ratings'?"
    assert did_you_mean("xyz", ["ratings", "details"]) == "known: details, ratings"
    assert did_you_mean("xyz", []) == ""
    assert did_you_mean("xyz", "abcdefg") == "known: a, b, c, d, e and 2 more"


async def test_a_failing_loop_ends_the_block_with_its_failure() -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup) as raised:
        async with running(fail()):
            await asyncio.Event().wait()
    assert raised.group_contains(RuntimeError, match="broken")


async def test_loops_are_ended_with_the_block_the_last_one_first() -> None:
    ended: list[int] = []

    async def loop(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async with running(loop(1), loop(2)):
        await asyncio.sleep(0)
    assert ended == [2, 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", 2),
        ("a:\n  b: 1\n  'b': 2", 3),
        ("x\n---\n{a: {b: 1, c: 2, b: 3}}", 3),
        ("<<: {a: 1}\n<<: {b: 2}", 2),
    ],
)
def test_a_key_that_is_there_twice_is_refused_wherever_it_stands(text: str, line: int) -> None:
    with pytest.raises(Repeated, match=f"is there twice, line {line}"):
        list(documents_in(text))


def test_what_a_merge_adds_is_no_second_key_and_keys_are_text() -> None:
    text = "a: &a {x: 1, on: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, x: 4, 5: 6}"
    one = {"x": 1, "on": 2}
    assert document_in(text) == {"a": one, "b": {**one, "x": 3}, "c": {**one, "x": 4, "5": 6}}
    assert list(documents_in("a: 1\n---\na: 2\n---\n")) == [{"a": 1}, {"a": 2}, None]
    assert document_in("p: &p 8080\nm: {*p : &k 5}\nn: {&z 5: *k, b: *z}") == {
        "p": 8080,
        "m": {"8080": 5},
        "n": {"5": 5, "b": 5},
    }


@pytest.mark.parametrize("key", ["!!python/object:os.system x", "!mine x"])
def test_a_key_of_another_kind_is_refused(key: str) -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        document_in(f"{key}: 1")
