"""The control plane's log: one line an event on standard error, `timestamp level event key=value …`; and its audit log,
one JSON object a line, wherever that goes.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, Final

import structlog

AUDIT: Final = "audit"


class _Audit:
    """What structlog writes audit lines with."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.info = self.warning = write


def configure_logs(audit: Callable[[str], None] | None = None, *, level: str = "info") -> None:
    """Set up structlog, and show libraries' warnings. They stay quiet at `debug`: botocore prints credentials there.

    `audit` is given lines of the audit log, whatever the level; without it they go to standard error, as JSON too.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    trail, log = _Audit(audit or _complain), structlog.PrintLogger(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            partial(_at_least, least),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render,
        ],
        logger_factory=lambda *names: trail if names == (AUDIT,) else log,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(format="timestamp=%(asctime)s level=%(levelname)s event=%(message)r")
    logging.getLogger("outrig").setLevel(least)
    for name in ("", "botocore", "boto3", "urllib3", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(least, logging.WARNING))


def _at_least(least: int, logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if logging.getLevelNamesMapping()[event["level"].upper()] < least and not isinstance(logger, _Audit):
        raise structlog.DropEvent
    return event


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_FIRST: Final = ("timestamp", "level", "event")
_AS_JSON: Final = structlog.processors.JSONRenderer(ensure_ascii=False)
_AS_WORDS: Final = structlog.processors.LogfmtRenderer(key_order=[*_FIRST])


def _render(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    if isinstance(logger, _Audit):
        first = {name: event.pop(name) for name in _FIRST if name in event}
        return str(_AS_JSON(logger, method, {**first, **event}))
    return str(_AS_WORDS(logger, method, event))
