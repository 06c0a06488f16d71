"""Messages between the emulator's processes: one JSON object per packet, with file descriptors beside it.

A SEQPACKET socket keeps messages apart, so a receive is a message. The end of the stream means the peer died.
"""

import array
import json
import os
import socket
from collections.abc import Sequence
from typing import cast

MESSAGE_LIMIT = 1 << 20
_DESCRIPTORS = 8

Document = dict[str, object]


class Channel:
    """One end of a conversation. Sending to a dead peer raises `OSError`; receiving from one returns `None`."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(left), cls(right)

    @classmethod
    def adopt(cls, descriptor: int) -> "Channel":
        """The channel behind a descriptor that was inherited or received."""
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=descriptor))

    def send(self, message: Document, descriptors: Sequence[int] = ()) -> None:
        data = json.dumps(message).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self._socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)

    def offer(self, message: Document, descriptors: Sequence[int] = ()) -> bool:
        """Send if the peer still lives; its end of stream will tell whoever listens that it does not."""
        try:
            self.send(message, descriptors)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[Document, list[int]] | None:
        """The next message and its descriptors, or `None` when the peer is gone."""
        space = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(MESSAGE_LIMIT, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return None
        descriptors = array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        if not data:
            return None
        return cast("Document", json.loads(data)), list(descriptors)

    def fileno(self) -> int:
        return self._socket.fileno()

    def detach(self) -> int:
        return self._socket.detach()

    def close(self) -> None:
        self._socket.close()


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
