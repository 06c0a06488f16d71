"""`outrig local env`: what it says while there is nothing to print yet."""

import fcntl
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outrig.local.commands import app
from outrig.local.layout import StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


def env(state: StateDirectory) -> Result:
    return CliRunner().invoke(app, ["env", "--dir", str(state.path)])


def test_where_no_emulator_runs_it_says_how_to_start_one(state: StateDirectory) -> None:
    state.exports.write_text("export LEFT=behind\n")
    said = env(state)
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == f"OUT804 {state.path}: no emulator runs here (start one: outrig local up SCENE)\n"


def test_while_one_comes_up_it_says_so_and_then_prints_what_a_shell_needs(state: StateDirectory) -> None:
    with state.mark.open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.write("1")
        mark.flush()
        early = env(state)
        assert early.stderr.startswith(f"OUT804 {state.path}: the emulator here is coming up: the steps of its scene")
        starting = CliRunner().invoke(app, ["status", "--dir", str(state.path)])
        assert "an emulator is starting or ending here" in starting.stderr
        state.exports.write_text("export READY=1\n")
        assert (env(state).exit_code, env(state).stdout) == (0, "export READY=1\n")
