"""What happens to the scene while it is called, one thing at a time. Each ends when the scene is whole again.

`lossless`: a healthy path exists for every call all the time, so none may fail. For the others `why` says which calls
no mesh can save.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.zero_drop.clock import COMPILER
from bench.zero_drop.definitions import TOGETHER, documented, unaware
from bench.zero_drop.scene import LIFETIME, Bookinfo, wait
from tests.e2e.guide import Definition

AHEAD, BEHIND = 90, 25  # seconds
FRESH = 0.3  # of a certificate's life
CALLED = ("productpage", "echo")  # those whom the clients call themselves


@dataclass(frozen=True, slots=True)
class Event:
    """`run` does it and returns when it is over, save for what `Bookinfo.wait_whole` waits for.

    `needs`: a program of this machine without which it cannot be done.
    """

    name: str
    title: str
    run: Callable[[Bookinfo], None]
    why: str = ""
    needs: str = ""

    @property
    def lossless(self) -> bool:
        """Whether no call may fail."""
        return not self.why

    @property
    def possible(self) -> bool:
        """Whether it can be done on this machine."""
        return not self.needs or shutil.which(self.needs) is not None


def calm(_: Bookinfo) -> None:
    """Nothing happens, for comparison."""
    time.sleep(4)


def scale(bookinfo: Bookinfo) -> None:
    """Out by one task each, and in again."""
    before = {service: bookinfo.wanted[service] for service in (*CALLED, "ratings")}
    bookinfo.scale_all({service: count + 1 for service, count in before.items()})
    bookinfo.wait_whole()
    bookinfo.scale_all(before)


def deploy(bookinfo: Bookinfo) -> None:
    """Every service but the client's at once."""
    old = {task for service in bookinfo.wanted if service != "client" for task in bookinfo.tasks_of(service)}
    for service in bookinfo.wanted:
        if service != "client":
            bookinfo.redeploy(service)
    wait(lambda: not old & {task["id"] for task in bookinfo.lab.tasks()}, 180, "the old tasks have not gone")


def stop(bookinfo: Bookinfo) -> None:
    """One task of each of them."""
    for service in (*CALLED, "details", "ratings"):
        if bookinfo.wanted.get(service, 0) > 1:
            bookinfo.stop_task(bookinfo.tasks_of(service)[0])


def deploy_and_stop(change: Callable[[Bookinfo, str], Definition]) -> Callable[[Bookinfo], None]:
    """After a deployment of that definition, one task of each is stopped."""

    def run(bookinfo: Bookinfo) -> None:
        for service in CALLED:
            bookinfo.redeploy(service, change(bookinfo, service))
        bookinfo.wait_whole()
        for service in CALLED:
            bookinfo.stop_task(bookinfo.tasks_of(service)[0])

    return run


def behind_entrypoint(bookinfo: Bookinfo, service: str) -> Definition:
    """The application is started by `outrig app-entrypoint`."""
    return documented(bookinfo.definition(service), service, TOGETHER)


def kill(process: Callable[[Bookinfo, str, str], int]) -> Callable[[Bookinfo], None]:
    """SIGKILL for a process of one task of each of them, and for whatever ends with it."""

    def run(bookinfo: Bookinfo) -> None:
        tasks = [(service, bookinfo.tasks_of(service)[0]) for service in CALLED]
        for pid in [process(bookinfo, service, task) for service, task in tasks]:
            os.kill(pid, signal.SIGKILL)
        time.sleep(2)  # the whole that is waited for is one after the event, not the one before

    return run


def renew(bookinfo: Bookinfo) -> None:
    """Every task has new certificates."""
    wait_renewed(bookinfo, bookinfo.joins())


def wait_renewed(bookinfo: Bookinfo, before: Mapping[str, list[datetime]], *, times: int = 1) -> None:
    """Until every task has got certificates so many times more than before."""

    def renewed() -> bool:
        now = bookinfo.joins()
        return all(len(now.get(task, ())) >= len(joins) + times for task, joins in before.items())

    wait(renewed, LIFETIME * times, "certificates were not renewed")


def wait_fresh(bookinfo: Bookinfo) -> None:
    """Until no certificate is older than that part of its life."""

    def fresh() -> bool:
        begun = datetime.now(UTC) - timedelta(seconds=LIFETIME * FRESH)
        return all(joins and joins[-1] > begun for joins in bookinfo.joins().values())

    wait(fresh, LIFETIME * 4, "there was no moment at which all certificates were fresh")


def restart(bookinfo: Bookinfo) -> None:
    """The control plane is killed and started again."""
    bookinfo.control_plane(signal.SIGKILL)
    time.sleep(2)


def hang(lifetimes: float, *, begin: Callable[[Bookinfo], None] = lambda _: None) -> Callable[[Bookinfo], None]:
    """The control plane stands still for so many lifetimes of a certificate; then every task renews."""

    def run(bookinfo: Bookinfo) -> None:
        begin(bookinfo)
        before = bookinfo.joins()
        bookinfo.control_plane(signal.SIGSTOP)
        try:
            time.sleep(LIFETIME * lifetimes)
        finally:
            bookinfo.control_plane(signal.SIGCONT)
        wait_renewed(bookinfo, before)

    return run


def differ(ahead: int, renewals: int) -> Callable[[Bookinfo], None]:
    """The control plane's clock is so many seconds ahead of all others while every certificate is renewed so often."""

    def run(bookinfo: Bookinfo) -> None:
        bookinfo.set_clock(ahead)
        try:
            wait_renewed(bookinfo, bookinfo.joins(), times=renewals)
        finally:
            bookinfo.set_clock(0)

    return run


def leave_unheard(bookinfo: Bookinfo) -> None:
    """Tasks are stopped while the control plane stands still."""
    bookinfo.control_plane(signal.SIGSTOP)
    leaving = [bookinfo.tasks_of(service)[0] for service in CALLED]
    try:
        for task in leaving:
            bookinfo.stop_task(task)
        wait(lambda: not set(leaving) & {task["id"] for task in bookinfo.lab.tasks()}, 60, "the tasks have not gone")
    finally:
        bookinfo.control_plane(signal.SIGCONT)


_DIED = "the calls in progress at the part that was killed: it may have acted on them, so they are not sent again"
EVENTS: Mapping[str, Event] = {
    event.name: event
    for event in (
        Event("calm", "nothing", calm),
        Event("scale", "scaled out and in", scale),
        Event("deploy", "rolling deployment of every service at once", deploy),
        Event("stop", "`stop-task`, agent stopped first", stop),
        Event(
            "application-killed", "application killed", kill(lambda b, service, task: b.pid(task, service)), why=_DIED
        ),
        Event("agent-killed", "agent killed", kill(lambda b, _, task: b.agent(task)), why=_DIED),
        Event("envoy-killed", "Envoy killed", kill(lambda b, _, task: b.envoy(task)), why=_DIED),
        Event(
            "task-killed",
            "task killed, all its processes at once",
            kill(lambda b, _, task: b.supervisor(task)),
            why=_DIED,
        ),
        Event("renew", "certificates renewed everywhere", renew),
        Event("restart", "control plane killed and started again", restart),
        Event(
            "expired",
            "control plane away for longer than a certificate's life",
            hang(1.1),
            why="what needs a new connection between tasks whose certificates have expired: nobody vouches for them",
        ),
        Event("hang", "control plane away for more than half of a certificate's life", hang(0.6, begin=wait_fresh)),
        Event("clock-ahead", f"control plane's clock {AHEAD} s ahead", differ(AHEAD, 1), needs=COMPILER),
        Event("clock-behind", f"control plane's clock {BEHIND} s behind", differ(-BEHIND, 2), needs=COMPILER),
        Event("leave-unheard", "`stop-task` while the control plane is away", leave_unheard),
        Event("stop-together", "`stop-task`, both at once, with `app-entrypoint`", deploy_and_stop(behind_entrypoint)),
        Event(
            "stop-unaware",
            "`stop-task`, both at once, without",
            deploy_and_stop(lambda b, service: unaware(b.definition(service))),
            why="the calls in progress when the application ended: it was told to at once",
        ),
    )
}
