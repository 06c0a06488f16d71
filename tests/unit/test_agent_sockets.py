"""Whether an application accepts connections is found out on every form of address that Envoy forwards to."""

import socket
from pathlib import Path
from secrets import token_hex

from outrig.agent.admin import Upstream
from outrig.agent.application import accepts


async def test_a_port_is_open_as_long_as_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = Upstream(*server.getsockname())
        assert await accepts(upstream)
    assert not await accepts(upstream)


async def test_a_unix_socket_is_open_as_long_as_somebody_listens(tmp_path: Path) -> None:
    upstream = Upstream(str(tmp_path / "app.sock"), 0)
    assert not await accepts(upstream)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(upstream.host)
        server.listen()
        assert await accepts(upstream)
    assert not await accepts(upstream)


async def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    name = f"outrig-test-{token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        assert await accepts(Upstream(f"@{name}", 0))
    assert not await accepts(Upstream(f"@{name}", 0))
