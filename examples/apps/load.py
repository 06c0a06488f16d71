"""A constant-rate client: every call is made on time and accounted for.

usage: load.py [--protocol h1|h1-close|h2|grpc|tcp] --rate PER_SECOND --seconds N [--until-stdin-ends]
               --connect ADDRESS:PORT [--reject TEXT] [--hold SECONDS] URL
Open loop: call number n is due at n/rate, whatever became of those before it; a late answer does not hold back the
next call. A good call to a page is status 200 without the text of `--reject`; a gRPC stream or a TCP connection is good
if all it sent for `--hold` seconds came back in order.
Prints `calling` once it does, and in the end one JSON line: sent, ok, failed, by kind of failure, the longest pause
between two good answers, and how late the latest call was begun.
"""

import argparse
import json
import queue
import sys
import threading
import time
from collections import Counter
from itertools import pairwise

from load_clients import CLIENTS, Client, Failed

WORKERS = 24


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", choices=CLIENTS, default="h1")
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop earlier, when standard input ends")
    parser.add_argument("--connect", required=True)
    parser.add_argument("--reject", default="", help="an answer that has this text is a failure")
    parser.add_argument("--hold", type=float, default=1.0, help="how long a stream or a TCP connection is used")
    parser.add_argument("url")
    return parser.parse_args()


class Worker(threading.Thread):
    """Makes the calls that are due, one at a time, with a client of its own, until there are none or it is over."""

    def __init__(self, client: Client, due: "queue.SimpleQueue[float | None]", over: threading.Event) -> None:
        super().__init__()
        self.client, self.due, self.over = client, due, over
        self.outcomes: list[tuple[float, str]] = []
        self.latest = 0.0

    def run(self) -> None:
        """Until there is nothing more to call."""
        while (moment := self.due.get()) is not None:
            if self.over.wait(max(0.0, moment - time.monotonic())):
                return
            self.latest = max(self.latest, time.monotonic() - moment)
            outcome = self.call()
            self.outcomes.append((time.monotonic(), outcome))

    def call(self) -> str:
        """`ok`, or what went wrong."""
        try:
            self.client.call()
        except Failed as failure:
            return str(failure)
        return "ok"


def report(workers: list[Worker]) -> str:
    """The account of all calls."""
    outcomes = [outcome for worker in workers for outcome in worker.outcomes]
    good = sorted(moment for moment, outcome in outcomes if outcome == "ok")
    failures = Counter(outcome for _, outcome in outcomes if outcome != "ok")
    pause = max((b - a for a, b in pairwise(good)), default=0.0)
    account = {"sent": len(outcomes), "ok": len(good), "failed": sum(failures.values()), "failures": failures}
    late = max(worker.latest for worker in workers)
    return json.dumps({**account, "longestPauseMs": round(pause * 1000), "latestStartMs": round(late * 1000)})


def main() -> None:
    """Call at the rate, then say what became of it."""
    options = arguments()
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    over = threading.Event()
    workers = [Worker(CLIENTS[options.protocol](options), due, over) for _ in range(WORKERS)]
    start = time.monotonic()
    for number in range(int(options.rate * options.seconds)):
        due.put(start + number / options.rate)
    for worker in workers:
        due.put(None)
        worker.start()
    print("calling", flush=True)
    if options.until_stdin_ends:
        sys.stdin.read()
        over.set()
    for worker in workers:
        worker.join()
    print(report(workers))


if __name__ == "__main__":
    main()
