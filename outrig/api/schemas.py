"""A document's body against the pydantic schema of its kind, in the words of Kubernetes' field errors.

In: a body as decoded, its kind. Out: the body without unknown fields, what was unknown, what is wrong. Nothing is
converted, and every problem is named at once.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from outrig.api.fields import shown
from outrig.api.refusals import Cause
from outrig.dialects.kind import Kind

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that nobody knows. `hint` names the known one it resembles, if there is one."""

    path: str
    hint: str = ""

    def __str__(self) -> str:
        return f'unknown field "{self.path}"' + (f" ({self.hint})" if self.hint else "")


def check_body(body: dict[str, Any], kind: Kind) -> tuple[dict[str, Any], tuple[UnknownField, ...], tuple[Cause, ...]]:
    """The body without unknown fields, those, and what else is wrong."""
    try:
        kind.schema.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    else:
        return body, (), ()
    unknown = [_steps(body, problem["loc"]) for problem in problems if problem["type"] == "extra_forbidden"]
    wrong = tuple(_cause(body, problem) for problem in problems if problem["type"] != "extra_forbidden")
    schema = kind.schema.model_json_schema()
    named = tuple(unknown_field(_path(steps), _fields_at(schema, steps[:-1])) for steps in unknown)
    pruned = _without(body, unknown)
    if unknown and not wrong:
        # Without the unknown fields, checks that need the whole object can run.
        wrong = check_body(pruned, kind)[2]
    return pruned, named, wrong


def unknown_field(path: str, known: Iterable[str]) -> UnknownField:
    """A field that nobody knows, with the known one it resembles."""
    close = get_close_matches(path.rpartition(".")[2], known, n=1)
    return UnknownField(path, f"did you mean {close[0]!r}?" if close else "")


def _fields_at(schema: Mapping[str, Any], steps: Steps) -> frozenset[str]:
    """The names of the fields that an object at some place may have."""
    here = [schema]
    for step in steps:
        inner = [_resolved(part, schema) for parts in here for part in _inside(parts, step)]
        here = [choice for part in inner for choice in (part, *(_resolved(c, schema) for c in part.get("anyOf", ())))]
    return frozenset(name for part in here for name in part.get("properties", {}))


def _inside(schema: Mapping[str, Any], step: str | int) -> Iterable[Mapping[str, Any]]:
    found = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
    found = found or schema.get("additionalProperties")
    return [found] if isinstance(found, Mapping) else []


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = part.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = schema.get("$defs", {}).get(name, part)
    return found


def _steps(body: Any, location: Sequence[str | int]) -> Steps:
    """A pydantic location as steps into the body: without the names of union members and validators."""
    steps: list[str | int] = []
    here: Any = body
    for index, step in enumerate(location):
        if _has(here, step):
            here = here[step]
        elif index < len(location) - 1 or step == "[key]" or not isinstance(here, dict):
            continue
        steps.append(step)
    return tuple(steps)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, dict) and step in value


def _path(steps: Steps) -> str:
    written = ""
    for step in steps:
        written += f"[{step}]" if isinstance(step, int) or "." in step else f".{step}"
    return written.removeprefix(".")


def _without(body: dict[str, Any], unknown: Sequence[Steps]) -> dict[str, Any]:
    pruned = copy.deepcopy(body)
    for *parents, last in unknown:
        here: Any = pruned
        for step in parents:
            here = here[step]
        here.pop(last, None)
    return pruned


TYPE_RULES = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
LIMIT_RULES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_pattern_mismatch": "must match {pattern}",
}


def _cause(body: Any, problem: Mapping[str, Any]) -> Cause:
    """One of pydantic's errors in the words of Kubernetes' field errors; a schema's own words are passed through."""
    path, kind, value = _path(_steps(body, problem["loc"])), problem["type"], problem["input"]
    context = problem.get("ctx", {})
    if kind == "missing":
        return Cause(path, "Required value", "FieldValueRequired")
    if kind in ("literal_error", "enum"):
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        listed = ", ".join(f'"{word}"' for word in words)
        return Cause(path, f"Unsupported value: {shown(value)}: supported values: {listed}", "FieldValueNotSupported")
    return Cause(path, f"Invalid value: {shown(value)}: {_rule(kind, value, context) or problem['msg']}")


def _rule(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'must be a text; quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return f"must be a whole number; write it without quotes: {value[:20]}"
    return TYPE_RULES.get(kind) or LIMIT_RULES.get(kind, "").format(**context)
