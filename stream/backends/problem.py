"""What every backend says when it cannot run."""

from __future__ import annotations


class RuntimeProblem(RuntimeError):
    """A runtime cannot open, build or run a graph; the message is one line."""
