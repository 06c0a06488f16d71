"""A document against a pydantic schema, in the words of Kubernetes' field errors.

In: an object as decoded, its schema. Out: the object without unknown fields, what was unknown, what is wrong, and the
part that can be judged further. Nothing is converted, and every problem is named at once.
"""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from outrig.dialects.findings import MISSING
from outrig.errors import Finding, OutrigError

Steps = tuple[str | int, ...]
Part = tuple[str, ...]
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
_STEP: Final = re.compile(r'\["(.*?)"\]|\[(.*?)\]|([^.\[]+)')
_INDEX: Final = re.compile(r"\d{1,9}", re.ASCII)
"""More digits number no item: they are a key."""
_ROUNDS: Final = 10
"""How often an object is looked at again without what was wrong: each time checks can run that could not before."""
_MANY: Final = 200
"""So many problems are enough: an object with more is not judged any further."""
_LONGEST: Final = 200
"""No field's name is that long. Of a longer key no more is in the names of places: many can lie within that of one."""
_STAND_IN: Final = "outrig-stand-in"
"""A text for one that is wrong or missing and has to be there, where its schema has no example. Nobody writes it, so it
is like no other.
"""


@dataclass(frozen=True, slots=True)
class Cause:
    """One wrong field. `reason` is a meta/v1 `CauseType` such as FieldValueInvalid."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field that nobody knows. `hint` names the known one it resembles, if there is one."""

    path: str
    hint: str = ""

    def __str__(self) -> str:
        return f'unknown field "{self.path}"' + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Gone:
    """Parts of an object that are wrong, by their paths: those that were left out, and those that another value stands
    in for.
    """

    left_out: frozenset[Part] = frozenset()
    stood_for: frozenset[Part] = frozenset()

    def __or__(self, more: Iterable[Steps]) -> "Gone":
        return replace(self, left_out=self.left_out | _parts(more))

    def but(self, standing: Iterable[Steps]) -> "Gone":
        """The same where something stands in for those parts."""
        parts = _parts(standing)
        return Gone(self.left_out - parts, self.stood_for | parts)

    @property
    def parts(self) -> frozenset[Part]:
        """All of them."""
        return self.left_out | self.stood_for

    def concern(self) -> Callable[[Iterable[str | int]], bool]:
        """Tells of a path whether one of the parts is there or above, or one is left out below."""
        above, parts = {part[:length] for part in self.left_out for length in range(len(part))}, self.parts

        def concerned(steps: Iterable[str | int]) -> bool:
            place = tuple(map(str, steps))
            return place in above or any(place[:length] in parts for length in range(len(place) + 1))

        return concerned


@dataclass(frozen=True, slots=True)
class Checked:
    """An object without unknown fields, those, and what else is wrong with it.

    `sound`: the object without what is wrong either, so that it fits its schema; None: nothing of it does. `gone`: what
    is left out there, or is another value that fits, so that what is around it can be judged.
    """

    body: dict[str, Any]
    unknown: tuple[UnknownField, ...] = ()
    wrong: tuple[Cause, ...] = ()
    sound: dict[str, Any] | None = None
    gone: Gone = field(default=Gone())

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All of it, for those to whom an unknown field is as wrong as any other."""
        unknown = (
            Cause(one.path, f"unknown field ({one.hint})" if one.hint else "unknown field") for one in self.unknown
        )
        return (*unknown, *self.wrong)

    def own(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Of what was found in `sound`, what does not only come of what is left out there.

        A field that nobody wrote says nothing where a field beside it is left out, unless it is missed. What speaks of
        a stand-in comes of it.
        """
        concerned, beside = self.gone.concern(), {part[:-1] for part in self.gone.parts}
        for finding in findings:
            here = steps_of(finding.path)
            said = finding.code == MISSING or _reaches(self.sound, here)
            of_stand_in = _STAND_IN in finding.problem + finding.hint
            if not of_stand_in and not concerned(here) and (said or tuple(map(str, here[:-1])) not in beside):
                yield finding


def check_body(body: dict[str, Any], schema: type[BaseModel], *, quoted: bool = False) -> Checked:
    """The object judged. `quoted`: in paths, keys of maps stand in quotation marks, as Kuma writes them."""
    if not (problems := _problems(body, schema)):
        return Checked(body, sound=body)
    unknown = [_steps(body, problem["loc"]) for problem in problems if problem["type"] == "extra_forbidden"]
    known = _described(schema) if unknown else {}
    named = tuple(unknown_field(_path(steps, quoted), _fields_at(known, steps[:-1])) for steps in unknown[:_MANY])
    return _without_wrong(Checked(_without(body, unknown), named), schema, quoted=quoted)


def _without_wrong(checked: Checked, schema: type[BaseModel], *, quoted: bool) -> Checked:
    """The same with what is wrong, and what is left without that. What that alone brings about is not named."""
    sound, gone, tried = checked.body, Gone(), set[Steps]()
    wrong: list[Cause] = []
    for _ in range(_ROUNDS):
        if not (problems := _problems(sound, schema)):
            return replace(checked, wrong=tuple(wrong), sound=sound, gone=gone)
        concerned = gone.concern()
        new = (problem for problem in problems if not concerned(_steps(sound, problem["loc"])))
        wrong += [_cause(sound, problem, quoted) for problem in islice(new, _MANY + 1 - len(wrong))]
        if len(wrong) > _MANY:
            break
        needed = [steps for problem in problems if (steps := _needed(sound, problem)) and steps not in tried]
        standing = {steps: value for steps in needed if (value := _stand_in(schema, steps)) is not None}
        going = [_removable(sound, problem) for problem in problems if _needed(sound, problem) not in standing]
        if not all(going):
            break
        sound = _with(_without(sound, going), standing)
        gone, tried = (gone | going).but(standing), tried | standing.keys()
    return replace(checked, wrong=tuple(wrong))


def cause_of(finding: Finding) -> Cause:
    """A finding as a reason to refuse the resource."""
    return Cause(finding.path, sentence(finding))


def sentence(told: Finding | OutrigError) -> str:
    """What a finding, or an error, says of its place."""
    said = f"{told.problem} ({told.hint})" if told.hint else told.problem
    return f"{said} [{told.code}]"


def in_order(causes: Iterable[Cause], written: object) -> tuple[Cause, ...]:
    """Problems of a document, each once, in the order of its fields; what is missing comes last in its object."""
    numbered: dict[int, dict[Any, int]] = {}

    def rank(cause: Cause) -> tuple[int, ...]:
        places: list[int] = []
        here: Any = written
        for step in steps_of(cause.field):
            names = numbered.get(id(here)) or numbered.setdefault(id(here), _numbered(here))
            places.append(names.get(step, len(names)))
            here = here[step] if _has(here, step) else None
        return tuple(places)

    return tuple(sorted(dict.fromkeys(causes), key=rank))


def _numbered(value: object) -> dict[Any, int]:
    names = value if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list) else ()
    return {name: number for number, name in enumerate(names)}


def steps_of(path: str) -> Steps:
    """A path of a message as steps: `a.b[0]["c.d"]`."""
    found = _STEP.findall(path)
    return tuple(int(item) if _INDEX.fullmatch(item) else quoted or item or plain for quoted, item, plain in found)


def _parts(paths: Iterable[Steps]) -> frozenset[Part]:
    return frozenset(tuple(map(str, steps)) for steps in paths)


def _problems(body: Any, schema: type[BaseModel]) -> Sequence[Mapping[str, Any]]:
    try:
        schema.model_validate(body)
    except ValidationError as error:
        return error.errors(include_url=False)
    return ()


def _needed(body: Any, problem: Mapping[str, Any]) -> Steps:
    """The place of a problem where something has to be: a field that is missing, a list that is too short, or an item
    of a list, whose others are found by their places; else empty.
    """
    steps = _steps(body, problem["loc"])
    is_item = steps and isinstance(steps[-1], int) and _reaches(body, steps)
    return steps if problem["type"] in ("missing", "too_short") or is_item else ()


def _stand_in(schema: type[BaseModel], steps: Steps) -> Any:
    """A value that may be right there; None where none is known, or where one of a few words decides about others."""
    for part in _schemas_at(_described(schema), steps):
        match part.get("type"):
            case "integer":
                return part.get("maximum", part.get("minimum", 1))
            case "string" if not part.keys() & {"enum", "const"}:
                return part.get("example", _STAND_IN)
            case "object":
                return {}
            case "array":
                items = [_stand_in(schema, (*steps, index)) for index in range(part.get("minItems", 0))]
                return None if None in items else items
    return None


def _removable(body: Any, problem: Mapping[str, Any]) -> Steps:
    """What has to go for a problem to go. No item of a list, as the others are found by their places."""
    steps = _steps(body, problem["loc"])
    steps = steps[:-1] if problem["type"] == "missing" else steps
    while steps and (isinstance(steps[-1], int) or not _reaches(body, steps)):
        steps = steps[:-1]
    return steps


def _reaches(body: Any, steps: Steps) -> bool:
    for step in steps:
        if not _has(body, step):
            return False
        body = body[step]
    return True


def unknown_field(path: str, known: Iterable[str]) -> UnknownField:
    """A field that nobody knows, with the known one it resembles."""
    spelt, name = {name.lower(): name for name in known}, path.rpartition(".")[2].lower()
    close = get_close_matches(name, spelt, n=1) if len(name) <= _LONGEST else []
    return UnknownField(path, f"did you mean {spelt[close[0]]!r}?" if close else "")


def _fields_at(schema: Mapping[str, Any], steps: Steps) -> frozenset[str]:
    """The names of the fields that an object at some place may have."""
    return frozenset(name for part in _schemas_at(schema, steps) for name in part.get("properties", {}))


def _schemas_at(schema: Mapping[str, Any], steps: Steps) -> Sequence[Mapping[str, Any]]:
    """What may be at some place, each of the choices."""
    here = [schema]
    for step in steps:
        inner = [_resolved(part, schema) for parts in here for part in _inside(parts, step)]
        here = [choice for part in inner for choice in (part, *(_resolved(c, schema) for c in part.get("anyOf", ())))]
    return here


@cache
def _described(schema: type[BaseModel]) -> Mapping[str, Any]:
    return schema.model_json_schema()


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


def _path(steps: Steps, quoted: bool) -> str:
    written = ""
    for whole in steps:
        step = whole[:_LONGEST] if isinstance(whole, str) else whole
        shown_step = f'"{step}"' if quoted and isinstance(step, str) else step
        is_key = isinstance(step, int) or not _WORD.fullmatch(step)
        written += f"[{shown_step}]" if is_key else f".{step}"
    return written.removeprefix(".")


def _without(body: dict[str, Any], unknown: Sequence[Steps]) -> dict[str, Any]:
    pruned = copy.deepcopy(body)
    for *parents, last in unknown:
        here: Any = pruned
        for step in parents:
            here = here[step] if _has(here, step) else {}
        here.pop(last, None)
    return pruned


def _with(body: dict[str, Any], values: Mapping[Steps, Any]) -> dict[str, Any]:
    """The object with those values, where there is still something around them. Changes it."""
    for (*parents, last), value in values.items():
        if not _reaches(body, tuple(parents)):
            continue
        here: Any = body
        for step in parents:
            here = here[step]
        here[last] = copy.deepcopy(value)
    return body


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


def _cause(body: Any, problem: Mapping[str, Any], quoted: bool) -> Cause:
    """One of pydantic's errors in the words of Kubernetes' field errors; a schema's own words are passed through."""
    path, kind, value = _path(_steps(body, problem["loc"]), quoted), problem["type"], problem["input"]
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
    if kind == "int_type" and isinstance(value, str) and value.isascii() and value.isdecimal():
        return f"must be a whole number; write it without quotes: {value[:20]}"
    return TYPE_RULES.get(kind) or LIMIT_RULES.get(kind, "").format(**context)


def shown(value: Any) -> str:
    """A value as messages quote it: short, one line."""
    if isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f'"{text}"' if isinstance(value, str) else text
