"""`outrig kubeconfig` as its users type it: what is missing is said, and nothing is asked then."""

import pytest
from typer.testing import CliRunner

from outrig.cli.main import assembled

WRONG = [
    ((), "--user NAME is missing"),
    (("revoke",), "name one: SERIAL, or --user NAME"),
    (("--kubeconfig", "other", "list"), "options come after the command: outrig kubeconfig list --kubeconfig FILE"),
    (("--address", "https://other", "revoke", "ab"), "options come after the command: outrig kubeconfig revoke"),
    (("revoke", "ab", "--user", "alice"), "name one: SERIAL, or --user NAME"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_is_missing_is_said(words: tuple[str, ...], said: str) -> None:
    told = CliRunner().invoke(assembled(["kubeconfig"]), ["kubeconfig", *words], env={"COLUMNS": "200"})
    assert told.exit_code == 2
    assert said in told.output
