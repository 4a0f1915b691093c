"""Motion for another head than the model's, as it leaves the session.

The model's own past, which it goes on from, stays as the model made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from head.model import Head
    from head.retarget import Retarget
    from stream.backends.protocol import Backend


def retarget_to(backend: Backend, target: Head) -> Retarget | None:
    """How a backend's motion moves `target`; None where it belongs to it already.

    Raises:
        head.model.HeadError: the model's own head is not here, or the motion cannot be mapped.
    """
    from head.retarget import retarget
    from head.rig import load_head

    if backend.head_id == target.id:
        return None
    return retarget(load_head(backend.head_id), target)
