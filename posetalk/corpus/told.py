"""A corpus is animated, and a person is told how it goes and what has failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posetalk.corpus.jobs import FAILURES, Corpus, jobs_of, prepare_folder
from posetalk.corpus.run import animate_corpus
from posetalk.corpus.worker import bundle_hash
from posetalk.terminal.console import say
from posetalk.terminal.progress import counted

MOST_TOLD = 10
"""Lines on files that failed; the file of failures has all."""


def animate_into(folder: Path, audio: Sequence[str], corpus: Corpus, workers: int | None) -> int:
    """Animate sounds and folders of sounds into `folder`; returns 1 where some of them failed."""
    jobs = jobs_of(audio, folder, corpus.kind)
    bundle = bundle_hash(corpus.model.bundle)
    prepare_folder(folder, jobs, corpus.record(bundle), corpus.force)
    with counted(f"animating into {folder}") as progress:
        summary = animate_corpus(jobs, corpus, folder, workers, progress)
    say(f"{folder}: {summary.line()}")
    for outcome in summary.failed[:MOST_TOLD]:
        say(f"{outcome.sound}: {outcome.error}")
    if summary.failed:
        say(f"all that failed stand in {folder / FAILURES}; run this again to try them anew")
    return 1 if summary.failed else 0
