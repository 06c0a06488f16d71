"""A constant-rate client: every request is sent on time and accounted for.

usage: load.py --rate PER_SECOND --seconds N [--until-stdin-ends] --connect ADDRESS:PORT URL
Open loop: request number n is due at n/rate, whatever became of those before it; a late answer does not hold back the
next request.
Prints one JSON line: sent, ok, failed, by kind of failure, the longest pause between two good answers.
"""

import argparse
import http.client
import json
import queue
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from urllib.parse import urlsplit

WORKERS = 16


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop earlier, when standard input ends")
    parser.add_argument("--connect", required=True)
    parser.add_argument("url")
    return parser.parse_args()


class Worker(threading.Thread):
    """Sends what is due on one kept-alive connection; opens another only where the last one was closed."""

    def __init__(self, options: argparse.Namespace, due: "queue.SimpleQueue[float | None]") -> None:
        super().__init__()
        self.options, self.due = options, due
        self.outcomes: list[tuple[float, str]] = []
        self.connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Until there is nothing more to send."""
        while (moment := self.due.get()) is not None:
            time.sleep(max(0.0, moment - time.monotonic()))
            outcome = self.request()
            self.outcomes.append((time.monotonic(), outcome))

    def request(self) -> str:
        """`ok`, or what went wrong."""
        url = urlsplit(self.options.url)
        host, _, port = self.options.connect.rpartition(":")
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(host, int(port), timeout=10)
            self.connection.request("GET", url.path, headers={"Host": url.netloc})
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            return type(error).__name__
        if answer.will_close:
            self.connection = None
        return "ok" if answer.status == 200 else f"status {answer.status}"


def report(outcomes: list[tuple[float, str]]) -> str:
    """The account of all requests."""
    good = sorted(moment for moment, outcome in outcomes if outcome == "ok")
    failures = Counter(outcome for _, outcome in outcomes if outcome != "ok")
    pause = max((b - a for a, b in pairwise(good)), default=0.0)
    account = {"sent": len(outcomes), "ok": len(good), "failed": sum(failures.values()), "failures": failures}
    return json.dumps({**account, "longestPauseMs": round(pause * 1000)})


def forget(due: "queue.SimpleQueue[float | None]") -> None:
    """Send no more of what is due, and let every worker end."""
    with suppress(queue.Empty):
        while True:
            due.get_nowait()
    for _ in range(WORKERS):
        due.put(None)


def main() -> None:
    """Send at the rate, then say what became of it."""
    options = arguments()
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    start = time.monotonic()
    for number in range(int(options.rate * options.seconds)):
        due.put(start + number / options.rate)
    workers = [Worker(options, due) for _ in range(WORKERS)]
    for worker in workers:
        due.put(None)
        worker.start()
    if options.until_stdin_ends:
        sys.stdin.read()
        forget(due)
    for worker in workers:
        worker.join()
    print(report([outcome for worker in workers for outcome in worker.outcomes]))


if __name__ == "__main__":
    main()
