"""The guide's scene for somebody who is not root: it comes up, a call works, and it ends."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.guide import BIN, EXAMPLE, RATINGS
from tests.e2e.test_local_rootless import NOBODY, ordinary_user
from tests.fixtures.local.lab import processes_of

pytestmark = pytest.mark.slow


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the ordinary user's; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def make_venv(home: Path, python: list[str], environment: dict[str, str]) -> Path:
    """A virtual environment of the ordinary user's, with our packages; its folder of programs."""
    subprocess.run([*python, "-m", "venv", "--without-pip", str(home / "venv")], env=environment, check=True, cwd="/")
    folder = home / "venv" / "bin"
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    (site / "outrig.pth").write_text(environment["PYTHONPATH"].replace(":", "\n"), encoding="utf-8")
    (folder / "kubectl").symlink_to((BIN / "kubectl").resolve())
    for name, module in (("outrig", "outrig.__main__"), ("aws", "awscli.clidriver")):
        program = folder / name
        program.write_text(f"#!{folder}/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n", "ascii")
        program.chmod(0o755)
    return folder


def test_an_ordinary_user_brings_the_guides_scene_up(home: Path) -> None:
    python, environment = ordinary_user(home)
    user = python[:-1]
    if subprocess.run([*user, "unshare", "-Urnmpf", "--kill-child", "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine does not allow unprivileged user namespaces")
    outrig = make_venv(home, python, environment) / "outrig"
    directory = home / "state"
    kept = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "KUBECONFIG")}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        here = kept | {"OUTRIG_LOCAL_DIR": str(directory)}
        return subprocess.run(
            [*user, str(outrig), "local", *arguments], env=here, capture_output=True, text=True, cwd="/", check=False
        )

    started = run("up", str(EXAMPLE))
    try:
        assert started.returncode == 0, started.stderr
        call = ("curl", "-i", "--resolve", f"{RATINGS}:127.0.0.2", f"{RATINGS}/ratings/0")
        answer = run("exec", "productpage", "--", *call)
        assert "server: envoy" in answer.stdout
        assert "Reviewer1" in answer.stdout
    finally:
        ended = run("down")
    assert ended.stdout == "ended\n"
    assert not processes_of(directory)
