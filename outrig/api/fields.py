"""Fields of documents, checked one at a time: texts, maps of texts, labels.

In: a value as decoded, the path of its field. Out: the value, empty where it is wrong, with a `Cause` that says why.
Rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

import re
from typing import Any

from outrig.dialects.causes import Cause, shown

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def key_problem(key: str) -> str:
    """Why a text is no label key (`[prefix/]name`); empty if it is one."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not SUBDOMAIN.fullmatch(prefix)):
        return "the part before '/' must be a DNS name in lower case"
    if len(name) > 63 or not QUALIFIED.fullmatch(name):
        return "the name must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    return ""


def value_problem(value: str) -> str:
    """Why a text is no label value; empty if it is one."""
    if value and (len(value) > 63 or not QUALIFIED.fullmatch(value)):
        return "must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    return ""


def labels(value: Any, field: str, causes: list[Cause]) -> dict[str, str]:
    """The labels that a value spells; what is wrong with it is added to the causes."""
    found = text_map(value, field, causes)
    for key, text in found.items():
        if why := key_problem(key):
            causes.append(invalid_value(field, key, why))
        if why := value_problem(text):
            causes.append(invalid_value(f"{field}[{key}]", text, why))
    return found


def text_map(value: Any, field: str, causes: list[Cause]) -> dict[str, str]:
    """The texts of a map of texts; what is wrong with it is added to the causes."""
    found = typed(value, dict, field, "an object", causes) or {}
    checked = {key: typed(text, str, f"{field}[{key}]", "a text", causes) for key, text in found.items()}
    return {key: text for key, text in checked.items() if text is not None}


def typed(value: Any, wanted: type, field: str, name: str, causes: list[Cause]) -> Any:
    """The value if it is of that type or absent; otherwise None, with the cause noted."""
    if value is None or isinstance(value, wanted):
        return value
    hint = f'; quote it: "{str(value).lower()}"' if wanted is str and isinstance(value, bool | int | float) else ""
    causes.append(invalid_value(field, value, f"must be {name}{hint}"))
    return None


def invalid_value(field: str, value: Any, why: str) -> Cause:
    """A field whose value is wrong."""
    return Cause(field, f"Invalid value: {shown(value)}: {why}")
