"""Environment variables that look like settings and are none: what to say of them when the control plane starts.

In: the environment. Out: warnings as (variable, hint). Nothing is refused, as a variable may be meant for another
program, but a mode in which everything would be expected to be otherwise, and a name that misspells one which decides
who is let in: others would be than its author believes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

import structlog

from outrig.errors import did_you_mean
from outrig.kit.spelling import slips
from outrig.server.foreign import (
    HONOURED,
    MODE,
    MODES,
    PREFIXES,
    SLIPS,
    decides_access,
    misspelt,
    not_honoured,
    translated,
)
from outrig.server.settings import PREFIX, BadSetting, Settings, unknown_proof

ELSEWHERE: Final = frozenset(
    PREFIX + name
    for name in (
        "AGENT_DIR",
        "API_ADDRESS",
        "API_CA",
        "API_TOKEN",
        "APP_WAIT_SECONDS",
        "DRAIN_SECONDS",
        "ENVOY",
        "HOST_ADDRESS",
        "JWT_FILE",
        "LOCAL_DIR",
        "READINESS_PORT",
    )
)
"""Settings of the agent, of `outrig local` and of commands that ask the API."""

_log = structlog.get_logger(__name__)


def check_mode(environment: Mapping[str, str], places: Mapping[str, str]) -> None:
    """Raises BadSetting for a mode of Kuma's that this control plane cannot have."""
    mode = environment.get(MODE) or MODES[0]
    if mode not in MODES:
        problem = f"{mode!r} is not supported yet: there is one control plane, of one zone, which has the policies too"
        hint = f"set {MODE}={MODES[0]} or leave it out, and apply here what the global control plane has"
        raise BadSetting(places.get(MODE, f"environment: {MODE}"), problem, hint)


def check_names(environment: Iterable[str]) -> None:
    """Raises BadSetting for a variable that misspells one which decides who is let in."""
    theirs = {name for name in HONOURED if decides_access(name)}
    ours = {PREFIX + HONOURED[name][0].upper() for name in theirs}
    for name in sorted({*environment} - _known() - HONOURED.keys()):
        near = {meant for meant in ours if name.startswith(PREFIX) and slips(name, meant) <= SLIPS}
        meant = misspelt(name, str) if name.startswith(PREFIXES) else min(near, default="")
        if meant in theirs | ours:
            raise unknown_proof(f"environment: {name}", meant)


def warn_of_ignored(file: Path, ignored: Iterable[tuple[str, str]]) -> None:
    """Log a warning for each key of a file that is not honoured."""
    for key, reason in ignored:
        _log.warning("setting not used", file=str(file), name=key, hint=reason)


def warn_of_unused(environment: Mapping[str, str]) -> None:
    """Log a warning for each variable that somebody may think is in force."""
    for name, hint in unused(environment):
        _log.warning("environment variable not used", name=name, hint=hint)


def unused(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Such variables, each with what may have been meant, or why it is not honoured."""
    known = _known()
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            yield name, did_you_mean(name, known - ELSEWHERE)
    overruled = {given.variable: PREFIX + given.setting.upper() for given in translated(environment)}
    for name in sorted(overruled):
        if overruled[name] in environment:
            yield name, f"{overruled[name]} is set too, and is stronger"
    yield from not_honoured(environment)


def _known() -> frozenset[str]:
    """Every variable of ours."""
    return ELSEWHERE | {PREFIX + setting.name.upper() for setting in fields(Settings)}
