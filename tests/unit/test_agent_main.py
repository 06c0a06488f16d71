"""The command line as a user meets it: exit statuses and the one line that explains them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.agent_server import Ca

pytestmark = pytest.mark.slow

START = "import sys; from outrig.agent.main import main; sys.exit(main(sys.argv[1:]))"
CONFIG = (
    "{apiVersion: config.agent.onboarding.tetrate.io/v1alpha1, kind: OnboardingConfiguration,"
    " onboardingEndpoint: {host: cp}, workloadGroup: {namespace: a, name: b}}"
)
TASK = {
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/abc",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
}


def agent(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ((), {}, "OUT501 ONBOARDING_CONFIG: not set"),
        ((), {"ONBOARDING_CONFIG": "{"}, "OUT501 ONBOARDING_CONFIG: not YAML or JSON"),
        ((), {"ONBOARDING_CONFIG": CONFIG}, "OUT501 ONBOARDING_AGENT_ROOT_CERTS: not set"),
        ((), {"ONBOARDING_CONFIG": CONFIG, "ROOTS": "1"}, "OUT502 ECS_CONTAINER_METADATA_URI_V4: not set"),
        (("--dir", "/proc/x"), {"ONBOARDING_CONFIG": CONFIG, "ROOTS": "1", **TASK}, "OUT503 /proc/x"),
        (("--envoy", "/bin/true"), {"ONBOARDING_CONFIG": CONFIG, "ROOTS": "1", **TASK}, "OUT504 /bin/true"),
    ],
)
def test_a_wrong_start_is_one_line_and_status_78(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    told = {"OUTRIG_AGENT_DIR": str(tmp_path / "d"), "OUTRIG_READINESS_PORT": "0", **environment}
    if told.pop("ROOTS", ""):
        told["ONBOARDING_AGENT_ROOT_CERTS"] = Ca().pem
    done = agent("run", *arguments, **told)
    assert done.returncode == 78
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_wrong_flags_are_status_2() -> None:
    assert agent("run", "--bogus").returncode == 2
    assert agent().returncode == 2


def test_healthy_without_an_agent_is_status_1_and_says_so() -> None:
    done = agent("healthy", OUTRIG_READINESS_PORT="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "no agent answers on 127.0.0.1:1" in done.stdout
    assert agent("healthy", OUTRIG_READINESS_PORT="x").returncode == 1


def test_the_agent_loads_nothing_heavy() -> None:
    """Every task carries it."""
    heavy = {"pydantic", "grpc", "sqlalchemy", "botocore", "starlette", "httpx", "typer", "rich", "structlog"}
    code = "import sys, outrig.agent.main, outrig.agent.sidecar; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
