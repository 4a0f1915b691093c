"""How an engine's contexts are made, and what TensorRT for RTX compiled when it ran them.

That library compiles an engine's kernels where it runs, and captures CUDA graphs by itself when it
is told to: its calls are not captured a second time.  What it compiled lies in a file of the user's
cache, which it checks against library, driver and GPU itself.  `tensorrt` has none of this.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from head.new_file import new_file


class RuntimeCache:
    """The contexts of one engine, and the file of what was compiled for them.

    Attributes:
        captures: whether the library captures graphs itself.

    Args:
        trt: TensorRT's module.
        engine: loaded.
        path: of the file; None: nothing is kept.
    """

    def __init__(self, trt: Any, engine: Any, path: Path | None) -> None:
        self._trt, self._engine, self._path = trt, engine, path
        self._config: Any = None
        self._cache: Any = None
        self._kept = b""
        strategies = getattr(trt, "CudaGraphStrategy", None)
        self.captures = strategies is not None
        if strategies is None:
            return
        self._config = engine.create_runtime_config()
        self._config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE
        self._config.set_execution_context_allocation_strategy(self._by_caller)
        if path is not None:
            self._cache = self._config.create_runtime_cache()
            with contextlib.suppress(OSError):
                self._kept = path.read_bytes()
            if self._kept and not self._cache.deserialize(self._kept):
                self._kept = b""  # of another GPU, driver or version: it is compiled again
            self._config.set_runtime_cache(self._cache)

    def context(self) -> Any:
        """An execution context that works in memory that it is given."""
        return self._engine.create_execution_context(
            self._by_caller if self._config is None else self._config
        )

    def save(self) -> None:
        """Write what was compiled, where there is anything new; a full disk is no error."""
        if self._cache is None or self._path is None:
            return
        found = bytes(self._cache.serialize())
        if found == self._kept:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(self._path) as part:
                part.write_bytes(found)
            self._kept = found

    @property
    def _by_caller(self) -> Any:
        return self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
