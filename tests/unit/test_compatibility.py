"""The pages on compatibility are whole and true as far as that can be read: everything that the code knows is on them,
in one of the three states, and the tests that they name exist."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from outrig.agent.kuma_options import IDLE_FLAGS, IDLE_VARIABLES, OPTIONS
from outrig.api.kube.foreign import FOREIGN
from outrig.api.kuma.inspection import VIEWS
from outrig.dialects import kuma
from outrig.dialects.kind import Kind
from outrig.server.foreign import HONOURED, IGNORED
from outrig.server.kinds import KINDS, KUMA_KINDS
from outrig.server.settings import Settings, load_settings

ROOT: Final = Path(__file__).parent.parent.parent
KUMA, ISTIO = ((ROOT / f"docs/compatibility-{world}.md").read_text(encoding="utf-8") for world in ("kuma", "istio"))
STATES: Final = ("works", "differs", "not yet")
TEST: Final = re.compile(r"`((?:attacks|contract|e2e|envoy|golden|property|unit)/[^`]+)`")
REST: Final = "\N{HORIZONTAL ELLIPSIS}"
OTHER: Final = {  # by the form of a setting, a text that is nobody's default
    "accounts": "123456789012",
    "connections": "77",
    "data plane proofs": "none",
    "duration": "7s",
    "file or none": "/a/file",
    "host": "192.0.2.1",
    "host or none": "192.0.2.1",
    "one of stores": "postgres",
    "open port": "1234",
    "port": "1234",
    "secret": "word",
    "tls mode": "verifyCa",
    "word": "word",
    "zone proxy proofs": "none",
}


def rows(page: str) -> list[dict[str, str]]:
    """The lines of the tables that have states or tests, each by its headings."""
    found: list[dict[str, str]] = []
    headings: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not cells:
            headings = []
        elif not headings:
            headings = cells
        elif {"state", "test"} & {*headings} and set(cells[0]) != {"-"}:
            assert len(cells) == len(headings), line
            found.append({"state": "differs", **dict(zip(headings, cells, strict=True))})
    return found


ROWS: Final = [*rows(KUMA), *rows(ISTIO)]


def words(text: str) -> set[str]:
    """What is written as code."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.split(r"[^\w]+", code)}


def about(kind: Kind) -> str:
    """What is said of a kind: the lines that begin with it, and the section that is named after it."""
    page = KUMA if kind in KUMA_KINDS else ISTIO
    lines = [line for line in page.splitlines() if re.search(rf"^\|[^|]*\b{kind.name}\b", line)]
    return "\n".join([*lines, *re.findall(rf"^### {kind.name}\n(.*?)^##", page, re.MULTILINE | re.DOTALL)])


def missing(known: Iterable[str], page: str) -> list[str]:
    written = set(re.findall(r"`([^`\s=:]+)", page))
    return sorted(name for name in known if name not in written)


def test_each_line_is_in_one_of_three_states() -> None:
    assert len(ROWS) > 100
    assert [row for row in ROWS if row["state"] not in STATES] == []


def test_what_works_or_differs_names_the_test_that_holds_it() -> None:
    assert [row for row in ROWS if row["state"] != "not yet" and not TEST.findall(row["test"])] == []


def test_every_test_that_is_named_exists() -> None:
    named = {name for page in (KUMA, ISTIO) for name in TEST.findall(page)}
    assert len(named) > 40
    assert sorted(name for name in named if not (ROOT / "tests" / name).exists()) == []


def test_what_is_not_there_says_what_happens_instead() -> None:
    silent = [row for row in ROWS if row["state"] == "not yet" and "here" in row and not row["here"]]
    assert silent == []


def test_every_flag_and_variable_of_a_data_plane_is_there() -> None:
    flags = [f"--{option.name}" for option in OPTIONS if option.help] + [f"--{name}" for name in IDLE_FLAGS]
    variables = [option.variable for option in OPTIONS if option.variable]
    begun = [f"{name}{REST}" if name.endswith("_") else name for name in IDLE_VARIABLES]
    assert missing([*flags, "--dataplane-var", *variables, *begun], KUMA) == []


def test_every_variable_of_the_control_plane_is_there() -> None:
    begun = [f"{name}{REST}" if name.endswith("_") else name for name in IGNORED]
    assert missing([*HONOURED, *begun], KUMA) == []


@pytest.mark.parametrize("variable", HONOURED)
def test_every_variable_that_works_sets_something(variable: str) -> None:
    setting, _ = HONOURED[variable]
    default = getattr(Settings(), setting)
    form = Settings.__dataclass_fields__[setting].metadata["form"]
    other = str(not default).lower() if form == "boolean" else OTHER[form]
    text = "false" if variable.endswith("_ENABLED") else other
    pair = dict.fromkeys(("KUMA_GENERAL_TLS_CERT_FILE", "KUMA_GENERAL_TLS_KEY_FILE"), text)  # come together
    environment = pair if variable in pair else {variable: text}
    assert getattr(load_settings(file=None, environment=environment, flags={}), setting) != default


def test_every_kind_is_there_and_every_plural_of_kumas_api() -> None:
    served = [name for kind in kuma.KINDS for name in (kind.name, kind.plural)]
    refused = [name for kind in kuma.REFUSED for name in (kind.name, kind.plural)]
    assert missing([*served, *refused], KUMA) == []
    assert missing([kind.name for kind in FOREIGN], ISTIO) == []
    assert [kind.name for kind in KINDS if not about(kind)] == []


def test_every_view_of_a_dataplane_is_there() -> None:
    assert not {*VIEWS, "_overview"} - words(KUMA)


@pytest.mark.parametrize("kind", [*KUMA_KINDS, *KINDS], ids=lambda kind: kind.name)
def test_every_field_is_there(kind: Kind) -> None:
    """Of Kuma's kinds every field, however deep; of the others those that a manifest begins with."""
    if kind.name != "Event":  # made by the control plane, in Kubernetes' own form
        known = fields(kind.schema) if kind in KUMA_KINDS else beginning(kind.schema)
        assert sorted(set(known) - words(about(kind))) == []


def beginning(schema: type[BaseModel]) -> list[str]:
    """The fields of a spec, or without one of the whole."""
    spec = schema.model_fields.get("spec")
    inner = next(iter(models(spec.annotation)), schema) if spec else schema
    return [field.alias or name for name, field in inner.model_fields.items()]


def fields(schema: type[BaseModel]) -> list[str]:
    """Every field of a schema and of what stands in it; `spec` and its like aside, which say nothing by themselves."""
    found: list[str] = []
    for name, field in schema.model_fields.items():
        inner = models(field.annotation)
        found += [field.alias or name] * (name != "spec")
        found += [deeper for model in inner for deeper in fields(model)]
    return found


def models(annotation: Any) -> list[type[BaseModel]]:
    """The schemas within an annotation such as `list[Inbound] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models(part)]
