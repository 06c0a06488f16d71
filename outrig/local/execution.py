"""A command run inside a running container for somebody outside: `outrig local exec`.

In: the caller's standard input, output and error as descriptors, and a connection for the answer.
Out: `{"exit": code}` on the connection. A caller that goes away takes its command with it.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

from outrig.local import terminal as terminal_program
from outrig.local.channel import Channel, close_all
from outrig.local.orders import ContainerOrder
from outrig.local.process import Child, Children

NOT_FOUND = 127
_TERM = "xterm-256color"


async def execute(
    children: Children,
    container: ContainerOrder,
    command: Sequence[str],
    descriptors: Sequence[int],
    *,
    terminal: bool = False,
) -> None:
    """Run `command` in the container; `descriptors` are stdin, stdout, stderr and the caller's connection.

    With `terminal` the first three are one, and the command gets it as its controlling terminal.
    """
    if terminal:
        container = replace(container, environment={"TERM": _TERM, **container.environment})
        command = [sys.executable, "-I", "-S", terminal_program.__file__, *command]
    standard, caller = descriptors[:3], Channel.adopt(descriptors[3])
    try:
        child = children.start(container, command, (standard[0], standard[1], standard[2]))
    except (OSError, KeyError) as error:
        _answer(caller, {"exit": NOT_FOUND, "problem": str(error)})
        return
    finally:
        close_all(standard)
    loop = asyncio.get_running_loop()
    loop.add_reader(caller.fileno(), _caller_left, child, caller)
    code = await child.exited
    loop.remove_reader(caller.fileno())
    _answer(caller, {"exit": code})


def _caller_left(child: Child, caller: Channel) -> None:
    asyncio.get_running_loop().remove_reader(caller.fileno())
    child.kill_group()


def _answer(caller: Channel, answer: dict[str, object]) -> None:
    try:
        caller.send(answer)
    except OSError:
        pass  # the caller has gone: nobody to tell
    finally:
        caller.close()
