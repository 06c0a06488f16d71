"""Waiting, inside a task's namespaces, for what a scene says makes an instance ready."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from outrig.local.orders import Await

_PAUSE = 0.05


async def wait_ready(wanted: Await) -> None:
    """Return once the file exists and the URL answers 2xx, whichever of them is asked for."""
    while wanted.file and not Path(wanted.file).exists():
        await asyncio.sleep(_PAUSE)
    while wanted.http and not await _answers(wanted.http):
        await asyncio.sleep(_PAUSE)


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
