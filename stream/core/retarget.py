"""A backend whose motion is mapped to another head as it leaves the session.

The model's own past, which it goes on from, stays as the model made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from head.model import Head
    from head.retarget import Retarget
    from stream.backends.protocol import Backend, FloatArray


class OnHead:
    """`backend` in everything but the head that its frames move.

    Attributes:
        model: the backend itself; its batches may hold sessions on several heads.
    """

    def __init__(self, backend: Backend, mapping: Retarget) -> None:
        self.model = self._backend = backend
        self.mapping = mapping
        self.head_id = mapping.target.id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def emit(self, motion: FloatArray) -> FloatArray:
        """Raw motion (n, D) of the model's head -> of this one."""
        return self.mapping(motion)


def model_of(backend: Backend) -> Backend:
    """The model that makes the motion, whatever head its frames move."""
    return backend.model if isinstance(backend, OnHead) else backend


def on_head(backend: Backend, target: Head) -> Backend:
    """The backend itself if its motion belongs to `target`, else one that maps it.

    Raises:
        head.HeadError: the model's own head is not here, or the motion cannot be mapped.
    """
    from head.retarget import retarget
    from head.rig import load_head

    if backend.head_id == target.id:
        return backend
    return cast("Backend", OnHead(backend, retarget(load_head(backend.head_id), target)))
