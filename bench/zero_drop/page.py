"""`docs/zero-drop.md`: what a run measured, and what it means."""

from collections.abc import Iterable, Sequence

from bench.zero_drop.clients import CLIENTS, Account
from bench.zero_drop.events import EVENTS, Event
from bench.zero_drop.running import Outcome
from bench.zero_drop.scene import LIFETIME, TASKS
from outrig.envoy.filters import UNDELIVERED

_HEAD = """# No request lost

What `make zero-drop` measured: the whole of Bookinfo on an ECS of one machine, called at a constant rate while one
thing after the other happens to it. This page is that run's output.

- **The scene**: {tasks}, and a task that only calls. All hops are mutual TLS between real Envoys; certificates live
  {life} s and are renewed at half of that, so renewals happen throughout. Applications exit at once on SIGTERM.
- **The calls**: open loop, so a call is made when it is due, whatever became of those before it, and each is accounted
  for. {rates}. A page that lacks a part (details, reviews or ratings) counts as failed. Each stream and each TCP
  connection sends a line every 0.1 s for 1 s and fails if one does not come back.
- **The task definition** is that of [agent.md](agent.md#stopping), with the container health check: ECS then keeps the
  old tasks of a deployment until the new ones are in the mesh. Without it ECS counts a task that has merely started,
  and for some seconds there is nobody to call.

"Pause" is the longest time between two good answers, in ms; here it is mostly two cores busy with starting tasks.
"Until whole" is how long it took until all tasks wanted were ready again, in seconds.

"""

_TAIL = """
## Where calls fail

{reasons}

A stream or TCP connection that is open when its task is stopped lives on until the end of the drain
(`OUTRIG_DRAIN_SECONDS`): one that ends by itself within that time is not lost, as above. A longer one is cut, for it
cannot be moved: the bytes that were sent are known to the old application alone. What no application has seen goes
elsewhere: a new connection, a request whose connection could not be made or that was refused, and one that the
receiving Envoy answers for an application that it could not reach (it says so to the caller's Envoy, with the header
`{header}`, which no application sees). A task whose own Envoy has died cannot call anybody until it is started again,
after 0.2 s.

Clocks that differ are no event here, for a process cannot be given a clock of its own: renewals count the seconds that
the control plane names, and proofs and certificates from a clock that is wrong are refused with both clocks' times
([agent.md](agent.md), [security.md](security.md)).
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """The page, Markdown."""
    head = _HEAD.format(tasks=_tasks(), life=LIFETIME, rates=_rates())
    reasons = "\n".join(_reason(event) for event in EVENTS.values() if event.why)
    return head + _table(outcomes) + _TAIL.format(reasons=reasons, header=UNDELIVERED)


def _table(outcomes: Iterable[Outcome]) -> str:
    rows = ["| event | client | calls | failed | pause | until whole |", "|---|---|---|---|---|---|"]
    for outcome in outcomes:
        title, seconds = outcome.event.title, f"{outcome.seconds:.0f}"
        for account in outcome.accounts:
            rows.append(f"| {title} | {account.client.title} | {_numbers(outcome.event, account)} | {seconds} |")
            title = seconds = ""
    return "\n".join(rows) + "\n"


def _numbers(event: Event, account: Account) -> str:
    failed = f"**{account.failed}**" if event.lossless else f"{account.failed}"
    return f"{account.sent} | {failed} | {account.pause}"


def _reason(event: Event) -> str:
    return f"- {event.title}: {event.why}."


def _tasks() -> str:
    return ", ".join(f"{count} x {service}" for service, count in TASKS.items())


def _rates() -> str:
    return "; ".join(f"{client.title}: {client.rate:g} a second" for client in CLIENTS.values())
