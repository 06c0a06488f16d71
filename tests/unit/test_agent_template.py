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
        ("{{# name }}", "cannot be filled in: the section that line 1 opens is never closed"),
        ("a: 1\n{{# name }}\n{{ name }}", "the section that line 2 opens is never closed"),
        ("{{# name }}{{/ zone }}", "Found {{/zone}}, expected {{/name}}"),
        ("{{/ name }}", "cannot be filled in: "),
        ("{{#name}}" * 900 + "x" + "{{/name}}" * 900, "nested too deep"),
        ("{{=<% =}}", "{{= =}} sets two delimiters"),
        ("{{=<% %>=}}<% zone %>", "nobody gave a value for {{ zone }}"),
        ("{{ task }}", "a tag names no variable, but what holds id, zone (write NAME.VARIABLE)"),
        ("{{{ task }}}", "a tag names no variable, but what holds id, zone"),
        ("{{ . }}", "a tag names no variable, but what holds name, task"),
    ],
)
def test_what_nobody_gave_is_refused(template: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        fill(PLACE, template, {"name": "kv", "task.id": "t1", "task.zone": "a"})
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"OUT501 {PLACE}: ")


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{=<% %>=}}\ntype: <% name %>, {{ as it is }}", "type: kv, {{ as it is }}"),
        ("{{=| |=}}|name| |={{ }}=|{{name}}", "kv kv"),
        ("{{# task }}{{ id }}{{/ task }}{{^ name }}none{{/ name }}", "t1"),
        ("{{! name }}{{", "{{"),
    ],
)
def test_delimiters_sections_and_comments_are_as_in_mustache(template: str, filled: str) -> None:
    assert fill(PLACE, template, {"name": "kv", "task.id": "t1"}) == filled


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
