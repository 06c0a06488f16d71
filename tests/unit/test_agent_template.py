"""Templates of Dataplanes: what is filled in, and what is refused rather than left empty."""

import pytest

from outrig.agent.problems import InvalidConfiguration
from outrig.agent.template import fill, read_variable

PLACE = "KUMA_DATAPLANE_RUNTIME_RESOURCE"


def test_variables_are_filled_in_as_they_are() -> None:
    text = 'name: "{{ name }}"\naddress: {{address}}\nraw: {{{ name }}}\n'
    filled = fill(PLACE, text, {"name": 'a&b<"', "address": "10.0.0.1"})
    assert filled == 'name: "a&b<""\naddress: 10.0.0.1\nraw: a&b<"\n'


def test_a_name_with_dots_is_a_variable_within_another() -> None:
    assert fill(PLACE, "{{ ecs.task.id }} {{ ecs.zone }}", {"ecs.task.id": "t1", "ecs.zone": "a"}) == "t1 a"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nmae }}", "nobody gave a value for {{ nmae }} (did you mean 'name'?)"),
        ("{{ name }}{{ zone }}", "nobody gave a value for {{ zone }}"),
        ("{{# zone }}x{{/ zone }}", "nobody gave a value for {{ zone }}"),
        ("{{> other }}", "cannot be filled in"),
        ("{{# name }}", "cannot be filled in"),
    ],
)
def test_what_nobody_gave_is_refused(template: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        fill(PLACE, template, {"name": "kv"})
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"OUT501 {PLACE}: ")


def test_a_file_beside_the_agent_is_no_partial(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "other.mustache").write_text("secret", encoding="ascii")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidConfiguration):
        fill(PLACE, "{{> other }}", {})


def test_the_values_of_variables_are_no_templates() -> None:
    assert fill(PLACE, "{{ name }}", {"name": "{{ zone }}"}) == "{{ zone }}"


@pytest.mark.parametrize("text", ["name", "=value", ""])
def test_a_variable_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="expected NAME=VALUE"):
        read_variable(text)
    assert read_variable("name=") == ("name", "")
    assert read_variable("a=b=c") == ("a", "b=c")


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a")])
def test_a_variable_is_a_value_or_holds_others(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidConfiguration):
        fill(PLACE, "{{ a }}", dict.fromkeys(names, "x"))
