"""PID 1 of the private VPC: builds its network, then forks the emulator and, on its word, a supervisor per task.

One thread and no event loop, so that forking is safe and cheap. When this process ends, the kernel ends every process
in the VPC, and with the last of them go its links and namespaces. It ends when the launcher or the emulator is gone.
"""

import json
import os
import select
import signal
import sys
import traceback
from itertools import count

from outrig.local.channel import Channel
from outrig.local.filesystem import enter_private_view, open_low_ports, refuse_to_forward
from outrig.local.layout import Settings
from outrig.local.namespaces import (
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUTS,
    make_mounts_private,
    mount_proc,
    unshare,
)
from outrig.local.network import Rtnetlink, build_vpc, join_vpc, mac_of
from outrig.local.orders import LaunchOrder
from outrig.local.process import open_log
from outrig.local.supervisor import supervise


def run(settings: Settings) -> None:
    """Hold the VPC until the launcher's end of the lifeline closes or the emulator dies."""
    make_mounts_private()
    mount_proc()
    open_low_ports()
    refuse_to_forward()
    bridge = build_vpc()
    ours, theirs = Channel.pair()
    emulator = os.fork()
    if emulator == 0:
        ours.close()
        _be_emulator(settings, theirs)
    theirs.close()
    wakeup = _wake_on_child_exit()
    for number in count(1):
        order = _next_order(settings.lifeline, ours, wakeup=wakeup, emulator=emulator)
        if order is None:
            return
        launch, descriptor = order
        _fork_task(launch, descriptor, link=f"task{number}", bridge=bridge)
        os.close(descriptor)


def _next_order(lifeline: int, orders: Channel, *, wakeup: int, emulator: int) -> tuple[LaunchOrder, int] | None:
    while True:
        readable, _, _ = select.select([lifeline, orders.fileno(), wakeup], [], [])
        if lifeline in readable:
            return None
        if wakeup in readable:
            os.read(wakeup, 4096)
            if emulator in _reap():
                return None
        if orders.fileno() in readable:
            received = orders.receive()
            if received is None:
                return None
            return LaunchOrder.decode(received[0]), received[1][0]


def _reap() -> set[int]:
    gone: set[int] = set()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return gone
        if pid == 0:
            return gone
        gone.add(pid)


def _wake_on_child_exit() -> int:
    """A descriptor that becomes readable when a child has ended."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _be_emulator(settings: Settings, orders: Channel) -> None:
    """Serve in this fork until it dies. The import is here so that the zygote, and its other forks, stay small."""
    try:
        from outrig.local.emulator import serve

        serve(settings, orders)
    except BaseException:  # noqa: BLE001 - the edge of a process: nothing may unwind into the zygote's frames
        traceback.print_exc()
    finally:
        os._exit(1)


def _fork_task(order: LaunchOrder, descriptor: int, *, link: str, bridge: int) -> None:
    """Fork into the task's namespaces and, as PID 1 of them, into its supervisor."""
    if os.fork() != 0:
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    channel = Channel.adopt(os.dup(descriptor))
    try:
        _enter_namespaces(order.address, link=link, bridge=bridge)
        if os.fork() == 0:
            _be_task(order, channel)
    except OSError as error:
        channel.offer({"event": "stopping", "reason": f"ResourceInitializationError: {error}"})
    finally:
        os._exit(0)


def _enter_namespaces(address: str, *, link: str, bridge: int) -> None:
    with Rtnetlink() as outside:
        unshare(NEWNET | NEWNS | NEWPID | NEWUTS | NEWIPC)
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        outside.create_veth(link, bridge=bridge, peer_mac=mac_of(address), peer_namespace=own)
        os.close(own)
    join_vpc(address)
    open_low_ports()


def _be_task(order: LaunchOrder, channel: Channel) -> None:
    try:
        logs = {container.name: open_log(container) for container in order.containers}
        enter_private_view(order)
        supervise(order, channel, logs)
    except OSError as error:
        channel.offer({"event": "stopping", "reason": f"ResourceInitializationError: {error}"})
        traceback.print_exc()
    except BaseException:  # noqa: BLE001 - the edge of a process: nothing may unwind into the zygote's frames
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    run(Settings.decode(json.loads(sys.argv[1])))
