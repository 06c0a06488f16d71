"""`docs/zero-drop.md`: what a run measured, and what it means."""

from collections.abc import Iterable, Sequence

from bench.zero_drop.clients import CLIENTS, Account
from bench.zero_drop.events import AHEAD, BEHIND, EVENTS, FRESH, Event
from bench.zero_drop.running import Outcome
from bench.zero_drop.scene import LIFETIME, TASKS
from outrig.attest.settings import AttestSettings
from outrig.ca.settings import CaSettings
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

A control plane that is away stops nothing while certificates last. One that was due for renewal when it went away has
half of its life left, so more than that is survived by those that were younger: here the event begins when none is
older than {fresh} of its life.

A task whose processes are killed still has a kernel that closes its connections, so its callers know at once and go
elsewhere. A machine that loses power closes nothing: calls on connections to it wait for their own time limits until
the control plane has missed its agent ([agent.md](agent.md#states)). That is not measured here: all of this ECS is
one machine.

## Clocks that differ

In two of the events the control plane has a time of day of its own, {ahead} s ahead of the tasks' or {behind} s behind
it: all of its process goes by it, what judges TLS certificates too, while every certificate is renewed. Nothing is
lost:

- Renewals count the seconds that the control plane names, whatever clocks say.
- Certificates begin {backdate} s in the past (Istio's do too; SPIRE's 10 s). A proof may be dated as far behind the
  control plane's clock, so who can join has a certificate that is valid by its own clock and by those of all its peers.
- A proof may be dated {furthest} s ahead. By a clock that is ahead certificates end that much earlier; since they are
  renewed at half of their life, nobody notices less than that: {half} s here, half an hour by default.

Beyond these bounds a task's join or renewal is refused with both clocks' times, and said to be so in its agent's log
([agent.md](agent.md), [security.md](security.md)).
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """The page, Markdown."""
    head = _HEAD.format(tasks=_tasks(), life=LIFETIME, rates=_rates())
    reasons = "\n".join(_reason(event) for event in EVENTS.values() if event.why)
    return head + _table(outcomes) + _left_out() + _TAIL.format(reasons=reasons, header=UNDELIVERED, **_settings())


def _left_out() -> str:
    rows = [f"- {event.title}: needs `{event.needs}`." for event in EVENTS.values() if not event.possible]
    return "\n".join(["\nNot measured on this machine:", *rows, ""]) if rows else ""


def _settings() -> dict[str, str]:
    backdate, furthest = CaSettings().backdate.total_seconds(), AttestSettings().furthest.total_seconds()
    numbers = {
        "fresh": FRESH,
        "ahead": AHEAD,
        "behind": BEHIND,
        "backdate": backdate,
        "furthest": furthest,
        "half": LIFETIME / 2,
    }
    return {name: f"{value:g}" for name, value in numbers.items()}


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
