"""A corpus by Ray Data: jobs in, outcomes out as they come, what failed listed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from head.new_file import new_file
from posetalk.corpus.jobs import FAILURES, Corpus, Job
from posetalk.corpus.worker import Expected, Outcome, Worker, bundle_hash
from posetalk.deploy.cluster import ClusterError, be_quiet, connected, plain

SHARES = 32
"""Pieces of a corpus for each worker: what is left to wait for in the end is one of them."""
MOST_SHARES = 4096


@dataclass
class Summary:
    """What became of a corpus.

    Attributes:
        made, there: files that were made now, and that were there.
        failed: those of which nothing came.
        seconds: of speech that was animated now.
        spent: seconds that it took.
    """

    made: int = 0
    there: int = 0
    failed: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    spent: float = 0.0

    def line(self) -> str:
        """For people."""
        speed = self.seconds / max(self.spent, 1e-9)
        parts = [f"{self.made} files of {self.seconds / 3600:.2f} h in {self.spent:.0f} s"]
        parts += [f"({speed:.0f} times real time)"] if self.made else []
        parts += [f"{self.there} were there"] if self.there else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join(parts).replace(", (", " (")


def animate_corpus(
    jobs: Sequence[Job],
    corpus: Corpus,
    folder: Path,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Animate every job; a job that fails hinders no other, and stands in `failures.txt`.

    Args:
        workers: processes of one thread each; None is one for each core of the cluster.
        progress: told how many are done, of how many.

    Raises:
        ClusterError: there is no cluster, it has no room, or its nodes are not as this one.
    """
    summary = Summary()
    left = {job.sound: job for job in jobs}
    with connected(workers) as count:
        began = time.monotonic()  # how long Ray takes to start says nothing of the work
        rows = _outcomes(jobs, corpus, count)
        for number, outcome in enumerate(plain(rows), 1):
            if outcome.fatal:
                raise ClusterError(outcome.error)
            left.pop(outcome.sound, None)
            if outcome.error:
                summary.failed.append(outcome)
            elif outcome.there:
                summary.there += 1
            else:
                summary.made += 1
                summary.seconds += outcome.seconds
            progress(number, len(jobs))
        summary.spent = time.monotonic() - began
    lost = "its worker ended while it was animated: run this again"
    summary.failed += [Outcome(sound, error=lost) for sound in left]
    write_failures(folder / FAILURES, summary.failed)
    return summary


def _outcomes(jobs: Sequence[Job], corpus: Corpus, workers: int) -> Iterator[Outcome]:
    """As they come, in any order."""
    import ray.data

    be_quiet("ray.data")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # what a worker took with it is told by what does not come
    context.execution_options.preserve_order = False
    shares = min(len(jobs), SHARES * workers, MOST_SHARES)
    rows = ray.data.from_items([asdict(job) for job in jobs], override_num_blocks=shares)
    outcomes = rows.map(
        Worker,
        fn_constructor_args=(corpus, Expected(bundle_hash(corpus.model.bundle))),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    for row in outcomes.iter_rows():
        yield Outcome(**row)


def write_failures(path: Path, failed: Sequence[Outcome]) -> None:
    """A line for each sound that failed; no file where none did."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with new_file(path) as part:
        lines = (f"{outcome.sound}\t{outcome.error}\n" for outcome in failed)
        part.write_text("".join(lines), "utf-8", errors="surrogateescape")
