"""scene.yaml: what it means, and what is wrong with it in words that help."""

import sys
from pathlib import Path

import pytest

from outrig.local.scene import SceneError, load_scene

STATE = Path("/state")


def a_scene(directory: Path, text: str) -> Path:
    (directory / "scene.yaml").write_text(text, encoding="utf-8")
    return directory


def test_our_three_names_are_filled_in_and_the_shells_are_left_alone(tmp_path: Path) -> None:
    text = "images: {app: {command: ['${VENV}/python', '${SCENE}/app.py', '${DIR}', '${HOME}', '$$']}}"
    scene = load_scene(a_scene(tmp_path, text), STATE)
    venv = str(Path(sys.executable).parent)
    assert scene.images["app"].command == [f"{venv}/python", f"{tmp_path}/app.py", "/state", "${HOME}", "$$"]


def test_an_empty_scene_is_an_emulator_alone(tmp_path: Path) -> None:
    scene = load_scene(a_scene(tmp_path, ""), STATE)
    assert (scene.account, scene.region, scene.zones) == ("123456789012", "us-east-1", ["us-east-1a"])
    assert not scene.instances


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imagse: {}", "imagse"),
        ("account: 123456789012", "account: Input should be a valid string"),
        ("instances: {a: {address: 10.8.0.9, command: [x]}}", "10.7.0.3 to 10.7.0.254"),
        ("instances: {a: {address: nonsense, command: [x]}}", "instances.a.address"),
        ("instances: {a: {address: 10.7.0.9, command: []}}", "instances.a.command"),
        ("instances: {a: {address: 10.7.0.9, command: [x]}, b: {address: 10.7.0.9, command: [x]}}", "share 10.7.0.9"),
        ("instances: {logs: {address: 10.7.0.9, command: [x]}}", "is not bin or files or kubeconfig or logs"),
        ("instances: {../up: {address: 10.7.0.9, command: [x]}}", "letters, digits and '-'"),
        ("images: [", "cannot be read"),
        ("images: {}\nimages: {}", "is there twice, line 2"),
        ("- a\n- b", "document"),
    ],
)
def test_a_wrong_scene_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SceneError, match=words.replace(".", r"\.")):
        load_scene(a_scene(tmp_path, text), STATE)


def test_a_missing_scene_says_what_a_scene_is(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"directory with scene\.yaml"):
        load_scene(tmp_path / "nothing", STATE)
