"""Sessions on many machines: `posetalk deploy`, or `serve run posetalk.deploy:app` (Ray Serve)."""

from __future__ import annotations

from typing import Any


def app(arguments: dict[str, str] | None = None) -> Any:
    """The application, for `serve run posetalk.deploy:app NAME=VALUE ...` and its config files.

    Args:
        arguments: `replicas`, `most_replicas`, `cores`, `sessions`, `bundle`, `style`, `backend`
            and `direct` (`yes`); as of `posetalk deploy`.  The token is that of `POSETALK_TOKEN`.

    Raises:
        posetalk.terminal.console.UsageError: an argument that is none, or a value that cannot be.
    """
    from posetalk.deploy.application import build
    from posetalk.deploy.settings import from_arguments

    return build(from_arguments(arguments or {}))
