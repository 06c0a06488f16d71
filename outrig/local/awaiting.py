"""Waiting, inside a task's namespaces, for what a scene says makes an instance ready."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from outrig.local.orders import Await

_PAUSE = 0.05


async def wait_ready(wanted: Await) -> None:
    """Return once the file exists and the URL answers 2xx, whichever of them is asked for."""
    while not await _is_ready(wanted):  # noqa: ASYNC110 - another process's state: there is no event to wait for
        await asyncio.sleep(_PAUSE)


async def _is_ready(wanted: Await) -> bool:
    if wanted.file and not Path(wanted.file).exists():  # noqa: ASYNC240 - a local file, and nothing else to do
        return False
    return not wanted.http or await _answers(wanted.http)


async def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except OSError:
        return False
    try:
        writer.write(f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        status = (await asyncio.wait_for(reader.readline(), timeout=2)).split()
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
    return len(status) > 1 and status[1].startswith(b"2")
