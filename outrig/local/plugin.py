"""The stand-in for AWS's `session-manager-plugin`, which `aws ecs execute-command` starts.

In: the session that `ExecuteCommand` answered, as JSON.  Out: the command's input and output on ours, in a terminal
of its own if ours is one. Like AWS's, it ends with 0 whatever the command's exit code. Without arguments it only
says that it is there.
"""

import json
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

from outrig.errors import OutrigError
from outrig.local.channel import Channel
from outrig.local.client import LocalEcs

_CHUNK = 1 << 16
_LEFT_TO_SAY = 16  # chunks; a terminal holds far less


def main(arguments: Sequence[str]) -> int:
    """Run as `session-manager-plugin` with these arguments; returns the exit status."""
    if not arguments:
        print("\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n")
        return 0
    session = json.loads(arguments[0])
    ecs = LocalEcs(Path(urlsplit(session["streamUrl"]).path).parent)
    print(f"\nStarting session with SessionId: {session['sessionId']}\n", flush=True)
    try:
        problem = _in_terminal(ecs, session["tokenValue"]) if os.isatty(0) else _directly(ecs, session["tokenValue"])
    except OutrigError as error:
        problem = str(error)
    if problem:
        print(problem, file=sys.stderr)
    print(f"\n\nExiting session with sessionId: {session['sessionId']}.\n")
    return 0


def _directly(ecs: LocalEcs, token: str) -> str:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the AWS CLI had it ignored, for the sake of a terminal
    with closing(ecs.attach(token, (0, 1, 2), terminal=False)) as channel:
        return _problem(channel)


def _in_terminal(ecs: LocalEcs, token: str) -> str:
    """Let the command have a new terminal, and be its keyboard and screen."""
    ours, theirs = os.openpty()
    signal.signal(signal.SIGWINCH, lambda *_: _resize(ours))
    _resize(ours)
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        with closing(ecs.attach(token, (theirs, theirs, theirs), terminal=True)) as channel:
            os.close(theirs)
            _relay(ours, channel)
            return _problem(channel)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _relay(terminal: int, channel: Channel) -> None:
    """Copy both ways until the command has ended, and then what it still had to say.

    What it left behind may write for ever: nobody waits for that.
    """
    sources = [0, terminal, channel.fileno()]
    while channel.fileno() not in (ready := select.select(sources, [], [])[0]):
        if terminal in ready and not _copy(terminal, 1):
            sources.remove(terminal)
        if 0 in ready and not _copy(0, terminal):
            sources.remove(0)
    for _ in range(_LEFT_TO_SAY):
        if not select.select([terminal], [], [], 0)[0] or not _copy(terminal, 1):
            return


def _copy(source: int, target: int) -> bool:
    """Pass on what there is; `False` at the end. A terminal whose other side is gone ends with an error."""
    with suppress(OSError):
        data = os.read(source, _CHUNK)
        while data:
            data = data[os.write(target, data) :]
            if not data:
                return True
    return False


def _problem(channel: Channel) -> str:
    received = channel.receive()
    if received is None:
        return "the task ended before the command did"
    return str(received[0].get("problem", ""))


def _resize(terminal: int) -> None:
    with suppress(OSError):
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
