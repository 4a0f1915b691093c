"""Backends by name; each heavy library is imported only by the backend that needs it."""

from __future__ import annotations

import importlib.util
import logging

from head.errors import NotInstalled, WrongValue
from stream.backends.names import BACKENDS, check_precision
from stream.backends.protocol import Backend
from stream.backends.threads import let_threads_sleep

log = logging.getLogger(__name__)


def load_backend(
    name: str = "auto",
    bundle: str = "starter",
    threads: int | None = None,
    precision: str | None = None,
    steps: int | None = None,
    gpu: int | None = None,
) -> Backend:
    """The backend `name` with a bundle's weights.

    `auto` is onnxruntime when it is installed and the bundle has graphs of its network, else torch;
    that it is not onnxruntime is logged with the reason.  With a `precision` ('fp32', 'bf16' or
    'fp16', of torch's matrix products) `auto` is torch.  `steps` are the network calls per hop that
    it shall make, the bundle's live default if None.  `gpu` is the number of the GPU that runs the
    model; a backend that has none takes no such number, and `auto` is then torch.

    Raises:
        ValueError: no such backend, a GPU for one that runs on the CPU, one that has no choice of
            precision, a network that cannot have it, or graphs that are not the bundle's.
        RuntimeError: what the backend needs is not here.
        diffposetalk.bundle.bundle.BundleError: the bundle is missing or damaged.
    """
    check_precision(name, precision)
    if gpu is not None and (gpu < 0 or name in ("onnxruntime", "fake")):
        raise WrongValue(
            f"--gpu {gpu} goes with a backend that runs on a GPU, and counts from 0: choose "
            "`--backend torch`, `onnxruntime-cuda` or `tensorrt`"
        )
    if name == "auto" and (precision is not None or gpu is not None):
        name = "torch"
    if name == "auto":
        return _best(bundle, threads, steps)
    if name == "fake":
        from stream.backends.fake import FakeBackend

        return FakeBackend()
    if name == "torch":
        _require("torch")
        let_threads_sleep()
        from stream.backends.torch_backend import TorchBackend

        device = None if gpu is None else f"cuda:{gpu}"
        return TorchBackend.load(bundle, device, threads, precision or "fp32")
    if name.startswith("onnxruntime") and name in BACKENDS:
        _require("onnxruntime")
        from stream.backends.onnx.backend import OnnxBackend

        device = name.partition("-")[2] or "cpu"
        device = device if gpu is None else f"{device}:{gpu}"
        return OnnxBackend.load(bundle, device=device, threads=threads)
    if name in ("tensorrt", "tensorrt-rtx"):
        from stream.backends.tensorrt.backend import TensorrtBackend

        return TensorrtBackend.load(bundle, name, gpu or 0)
    raise WrongValue(f"no backend {name!r}: choose one of {', '.join(BACKENDS)}")


def _best(bundle: str, threads: int | None, steps: int | None) -> Backend:
    """onnxruntime where it can, else torch; the reason is said once."""
    from diffposetalk.bundle.graphs import GraphsError
    from stream.backends.onnx.backend import OnnxBackend

    try:
        backend = load_backend("onnxruntime", bundle, threads)
        assert isinstance(backend, OnnxBackend)
        wanted = steps or backend.spec.live.steps
        if backend.has_steps(wanted):
            return backend
        raise GraphsError(
            f"{bundle} has no graph that samples in {wanted} steps: export it with "
            f"`posetalk export {bundle} --steps {wanted}`, or choose other --steps"
        )
    except (GraphsError, RuntimeError) as error:
        if importlib.util.find_spec("torch") is None:
            raise type(error)(
                f"{error}; or install torch, which needs no graphs: `pip install 'posetalk[torch]'`"
            ) from None
        log.warning("torch runs the model: %s", error)
        return load_backend("torch", bundle, threads)


def _require(library: str) -> None:
    """Say in one line what to install.

    Raises:
        RuntimeError: the library is not here.
    """
    if importlib.util.find_spec(library) is None:
        extra = "torch" if library == "torch" else "cpu"
        raise NotInstalled(f"{library} is not installed: run `pip install 'posetalk[{extra}]'`")
