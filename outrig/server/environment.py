"""Environment variables that look like settings and are none: what to say of them when the control plane starts.

In: the environment. Out: warnings as (variable, hint). Nothing is refused: a variable may be meant for another program.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Final

import structlog

from outrig.errors import did_you_mean
from outrig.server.foreign import not_honoured, translated
from outrig.server.settings import PREFIX, Settings

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
        "LOG_LEVEL",
        "READINESS_PORT",
    )
)
"""Settings of the agent, of `outrig local` and of commands that ask the API."""

_log = structlog.get_logger(__name__)


def warn_of_unused(environment: Mapping[str, str]) -> None:
    """Log a warning for each variable that somebody may think is in force."""
    for name, hint in unused(environment):
        _log.warning("environment variable not used", name=name, hint=hint)


def unused(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Such variables, each with what may have been meant, or why it is not honoured."""
    known = {PREFIX + setting.name.upper() for setting in fields(Settings)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known | ELSEWHERE:
            yield name, did_you_mean(name, known)
    overruled = {given.variable: PREFIX + given.setting.upper() for given in translated(environment)}
    for name in sorted(overruled):
        if overruled[name] in environment:
            yield name, f"{overruled[name]} is set too, and is stronger"
    yield from not_honoured(environment)
