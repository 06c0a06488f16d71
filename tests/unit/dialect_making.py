"""Resources for the tests of dialects, from YAML as users write it."""

from datetime import UTC, datetime
from typing import Any

import yaml
from pydantic import ValidationError

from outrig.dialects import core, istio, onboarding
from outrig.dialects.kind import Kind, Scope
from outrig.errors import Finding
from outrig.model import Fact
from outrig.resources import Key, Resource

ALL_KINDS: tuple[Kind, ...] = (*core.KINDS, *istio.KINDS, *onboarding.KINDS)
KINDS = {(kind.group, kind.name): kind for kind in ALL_KINDS}
ENVELOPE = {"apiVersion", "kind", "metadata", "status"}
SCOPE = Scope(mesh_of=lambda _: "default", trust_domain=lambda _: "cluster.local")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def kind_of(document: dict[str, Any]) -> Kind:
    """The kind of a document, which must be served in that version."""
    group, _, version = document["apiVersion"].rpartition("/")
    kind = KINDS[group, document["kind"]]
    assert version in kind.versions
    return kind


def body_of(document: dict[str, Any]) -> dict[str, Any]:
    """All that is the kind's own."""
    return {field: value for field, value in document.items() if field not in ENVELOPE}


def resource(text: str, *, created: datetime | None = NOON) -> Resource:
    """The resource that a document becomes: valid, with defaults."""
    document = yaml.safe_load(text)
    kind, metadata = kind_of(document), document["metadata"]
    body = body_of(document)
    kind.schema.model_validate(body)
    return Resource(
        key=Key(kind.group, kind.name, "", metadata.get("namespace", ""), metadata["name"]),
        body=kind.default(body),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        uid=metadata["name"],
        created=created,
    )


def schema_problems(text: str) -> list[str]:
    """What the schema has against a document, as `path: message`."""
    document = yaml.safe_load(text)
    try:
        kind_of(document).schema.model_validate(body_of(document))
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def found(made: Resource) -> list[Finding]:
    """What its kind finds."""
    return list(KINDS[made.key.group, made.key.kind].findings(made))


def said(made: Resource) -> list[str]:
    """Its findings as `severity code path: problem (hint)`."""
    return [f"{one.severity} {str(one).replace(f'{one.origin} ', '')}" for one in found(made)]


def facts(made: Resource) -> tuple[Fact, ...]:
    """What it says to the core."""
    return KINDS[made.key.group, made.key.kind].compile(made, SCOPE)


def cells(made: Resource) -> list[str | int]:
    """Its row in a wide table, without the name."""
    return [column.cell(made) for column in KINDS[made.key.group, made.key.kind].columns]
