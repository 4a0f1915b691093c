"""Backends by name; each heavy library is imported only by the backend that needs it."""

from __future__ import annotations

from stream.backends.protocol import Backend

BACKENDS = ("auto", "torch", "fake")


def load_backend(
    name: str = "auto", bundle: str = "starter", threads: int | None = None
) -> Backend:
    """The backend `name` with a bundle's weights (`auto`: the best that is installed).

    Raises:
        ValueError: no such backend.
        diffposetalk.bundle.BundleError: the bundle is missing or damaged.
    """
    if name == "fake":
        from stream.backends.fake import FakeBackend

        return FakeBackend()
    if name in ("auto", "torch"):
        from stream.backends.torch_backend import TorchBackend

        return TorchBackend.load(bundle, threads=threads)
    raise ValueError(f"no backend {name!r}: choose one of {', '.join(BACKENDS)}")
