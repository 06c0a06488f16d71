"""`kuma-dp` and `kuma-cp` as programs: exit statuses, words, and what an installation without the rest says."""

import subprocess
import sys

import pytest

ALIASES = "import sys; sys.argv[0] = 'x'; from outrig.__main__ import {0}; sys.exit({0}())"


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_start_is_one_line_and_status_78() -> None:
    done = python(ALIASES.format("kuma_dp"), "run", KUMA_DATAPLANE_RUNTIME_RESOURCE="{{ x }}")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("kuma-dp: OUT501 KUMA_DATAPLANE_RUNTIME_RESOURCE: nobody gave a value for {{ x }}")
    assert done.stderr.count("\n") == 1


def test_a_dataplane_may_come_by_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outrig", "dp", "run", "--skip-verify", "-d", "-"],
        input=b"\xff", capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert done.stderr.startswith(b"kuma-dp: OUT501 /dev/stdin: cannot be read: 'utf-8' codec")


def test_wait_ends_with_what_the_agent_says() -> None:
    done = python(ALIASES.format("kuma_dp"), "wait", "--timeout=1ms", KUMA_READINESS_PORT="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "no agent answers on 127.0.0.1:1" in done.stdout
    done = python(ALIASES.format("kuma_dp"), "wait", KUMA_READINESS_PORT="x")
    assert (done.returncode, "expected http://127.0.0.1:PORT/ready" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_other_words_of_the_program() -> None:
    assert python(ALIASES.format("kuma_dp"), "version").stdout.startswith("kuma-dp of Outrig ")
    assert "kuma-dp run" in python(ALIASES.format("kuma_dp"), "--help").stdout
    assert python(ALIASES.format("kuma_dp"), "sprint").returncode == 2
    assert "migrate" in python(ALIASES.format("kuma_cp"), "--help").stdout
    shown = python(ALIASES.format("kuma_cp"), "run", "--help").stdout
    assert "Usage: kuma-cp run [OPTIONS]" in shown
    assert "--config-file" in shown
    done = python(ALIASES.format("kuma_cp"), "migrate", "up", "--log-level", "off", KUMA_DNS_PORT="53")
    assert (done.returncode, "nothing to do" in done.stdout, done.stderr) == (0, True, "")
    assert "is not one of debug, info" in python(ALIASES.format("kuma_cp"), "run", "--log-level", "loud").stderr


def test_a_template_costs_memory_only_where_there_is_one() -> None:
    code = (
        "import sys, outrig.agent.kuma_dp, outrig.agent.kuma_setup, outrig.agent.kuma_options, outrig.agent.sidecar;"
        "from outrig.agent.template import fill; fill('x', 'no variables', {});"
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    heavy = {"pystache", "pydantic", "grpc", "sqlalchemy", "botocore", "starlette", "httpx", "typer", "rich", "h2"}
    assert not heavy & set(python(code).stdout.split())


MISSING = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {0}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv[1:] = {1}
from outrig.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(("module", "extra"), [("typer", "control-plane"), ("pydantic", "control-plane")])
def test_an_installation_with_the_agent_alone_says_what_to_install(module: str, extra: str) -> None:
    done = python(MISSING.format({module}, ["local", "up"]))
    assert (done.returncode, done.stdout) == (1, "")
    hint = f"pip install '.[{extra}]' in the directory of its source"
    assert done.stderr == f"outrig: {module} is not installed, only the agent is: {hint}\n"


def test_a_fault_of_ours_is_not_taken_for_a_missing_package() -> None:
    done = python(MISSING.format({"outrig.cli.main"}, ["version"]))
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'outrig.cli.main'" in done.stderr


def test_an_interrupt_while_a_part_is_loaded_leaves_no_traceback() -> None:
    code = MISSING.format("{'typer'}", ["version"]).replace(
        'raise ModuleNotFoundError(f"No module named {name!r}", name=name)', "raise KeyboardInterrupt"
    )
    done = python(code)
    assert (done.returncode, done.stderr) == (130, "")
