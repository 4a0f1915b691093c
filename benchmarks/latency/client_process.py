"""The client of a run, in a process of its own: the product's client, noting arrivals."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.harness.processes import answer, resident_mb
from viewer.client.watching import ClientThread, Ended, ReceivedMotion, Restarted, ViewerClient

POLL_SECONDS = 0.5  # arrivals are stamped by the client's own thread, so this costs no accuracy
FIRST_POLL_SECONDS = 0.02


def listen(url: str) -> None:
    """Answer `connected`, then everything that arrived, once the server has ended."""
    client = ViewerClient(url, reconnect=False, clock=time.perf_counter)
    sequences: list[int] = []
    samples: list[int] = []
    arrivals: list[float] = []
    poll, ended = FIRST_POLL_SECONDS, False
    cpu = 0.0
    with ClientThread(client) as thread:
        while not ended:
            running = thread.running
            events = thread.take()
            for event in events:
                if isinstance(event, ReceivedMotion):
                    sequences.append(event.sequence)
                    samples.append(event.sample)
                    arrivals.append(event.arrival)
                elif isinstance(event, Restarted):
                    answer(connected=True)
                    poll, cpu = POLL_SECONDS, time.process_time()
                elif isinstance(event, Ended):
                    ended = True
            if not running and not events:
                break
            if not ended:
                time.sleep(poll)
    answer(
        sequences=sequences,
        samples=samples,
        arrivals=arrivals,
        dropped=client.inbox.dropped,
        complete=ended,
        cpu_seconds=time.process_time() - cpu,
        memory_mb=resident_mb(),
    )


def main() -> int:
    """`python -m benchmarks.latency.client_process '{"url": ...}'`."""
    try:
        listen(json.loads(sys.argv[1])["url"])
    except (OSError, ValueError, RuntimeError) as error:
        answer(error=f"the client: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
