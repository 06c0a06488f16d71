"""`outrig kubeconfig` as its users type it: what is missing is said, and nothing is asked then; and where it asks."""

import pytest
from typer.testing import CliRunner

from outrig.cli.main import assembled

WRONG = [
    ((), "--user NAME is missing"),
    (("revoke",), "name one: SERIAL, or --user NAME"),
    (("--user", "alice", "list"), "--user is not for `list`, or comes after it: outrig kubeconfig list --help"),
    (("--valid-for", "1h", "revoke", "ab"), "--valid-for is not for `revoke`"),
    (("revoke", "ab", "--user", "alice"), "name one: SERIAL, or --user NAME"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_is_missing_is_said(words: tuple[str, ...], said: str) -> None:
    told = CliRunner().invoke(assembled(["kubeconfig"]), ["kubeconfig", *words], env={"COLUMNS": "200"})
    assert told.exit_code == 2
    assert said in told.output


NOWHERE = "http://127.0.0.1:{}".format
PLACES = [
    (("--kubeconfig", "front", "list"), {}, "front: there is no kubeconfig"),
    (("list", "--kubeconfig", "behind"), {}, "behind: there is no kubeconfig"),
    (("--kubeconfig", "front", "revoke", "ab", "--kubeconfig", "behind"), {}, "behind: there is no kubeconfig"),
    (("--address", NOWHERE(1), "list"), {}, NOWHERE(1)),
    (("--address", NOWHERE(1), "revoke", "ab"), {"OUTRIG_API_ADDRESS": NOWHERE(2)}, NOWHERE(1)),
    (("--address", NOWHERE(1), "list", "--address", NOWHERE(3)), {"OUTRIG_API_ADDRESS": NOWHERE(2)}, NOWHERE(3)),
    (("list",), {"OUTRIG_API_ADDRESS": NOWHERE(2)}, NOWHERE(2)),
]


@pytest.mark.parametrize(("words", "environment", "place"), PLACES)
def test_where_to_ask_may_be_said_in_front_of_the_command_and_behind_it(
    words: tuple[str, ...], environment: dict[str, str], place: str
) -> None:
    told = CliRunner().invoke(assembled(["kubeconfig"]), ["kubeconfig", *words], env={"NO_PROXY": "*", **environment})
    assert place in str(told.exception)
