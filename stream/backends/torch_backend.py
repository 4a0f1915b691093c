"""The torch backend: a bundle's own networks, on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.inference.precision import make_ready
from diffposetalk.network.mel import MelState
from diffposetalk.sampling.samplers import SAMPLERS
from head.errors import WrongValue
from stream.backends.cuda_graphs import CapturedCalls, CudaCapture, PlainCalls
from stream.backends.protocol import (
    BATCH_ON_CPU,
    BATCH_ON_GPU,
    FloatArray,
    RuntimeProblem,
    SamplerCall,
    Statistics,
)
from stream.backends.slots.hop_slots import HopKind, HopSlots
from stream.backends.threads import usable_cores
from stream.backends.torch_network import TorchNetwork

if TYPE_CHECKING:
    from stream.backends.hop import HopGraph

THREADS, MOST_THREADS = 1, 4
"""A hop of the starter is too small for two threads, and spinning ones starve the program; with
HuBERT there is work for some."""


class TorchBackend:
    """A bundle behind the `Backend` protocol.

    Attributes:
        network: what it computes, on tensors; its feature rows are explained there.
        start_features: (T_p, F) rows of the frames before a stream's start.

    Args:
        bundle: weights, statistics and named styles.
        device: 'cpu', 'cuda', ...
        threads: of torch's CPU kernels.
        precision: of the matrix products, 'fp32', 'bf16' or 'fp16', see
            `diffposetalk.inference.precision`.

    Raises:
        ValueError: the network cannot have that precision.
    """

    name = "torch"

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
    ) -> None:
        if threads is None:
            mel = bundle.spec.speech.kind == "mel"
            threads = THREADS if mel else min(MOST_THREADS, usable_cores())
        torch.set_num_threads(threads)
        if bundle.spec.live.sampler not in SAMPLERS:
            known = ", ".join(SAMPLERS)
            raise WrongValue(f"no sampler {bundle.spec.live.sampler!r}: there are {known}")
        self.threads, self.precision = threads, precision
        self.spec = bundle.spec
        self.styles: Mapping[str, FloatArray] = bundle.styles
        self.statistics: Statistics = bundle.statistics
        self.head_id, self.bundle_hash = bundle.head_id, bundle.hash
        self.device = torch.device(device)
        self.place = str(self.device)
        self.model = make_ready(bundle.model().to(self.device), precision)
        self.calls: PlainCalls | CapturedCalls = PlainCalls(self.device)
        if self.device.type == "cuda":
            _no_tf32()
            self.calls = CapturedCalls(CudaCapture(self.device))
        with torch.inference_mode():
            self.network = TorchNetwork(self.model, self.spec)
            self.start_features = self.network.start_rows().cpu().numpy()
            self._start_motion = self.network.start_motion().cpu().numpy()

    @classmethod
    def load(
        cls,
        bundle: str = "starter",
        device: str | None = None,
        threads: int | None = None,
        precision: str = "fp32",
    ) -> TorchBackend:
        """Load a bundle by name or folder, on the GPU when there is one.

        Raises:
            diffposetalk.bundle.bundle.BundleError: it cannot be read.
            RuntimeProblem: no such GPU.
            ValueError: the network cannot have that precision.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device.startswith("cuda"):
            number, there = int(device.partition(":")[2] or 0), torch.cuda.device_count()
            if number >= there:
                raise RuntimeProblem(
                    f"there is no GPU {number} here, torch {torch.__version__} sees {there}: "
                    "choose another --gpu, or none"
                )
        return cls(load_bundle(bundle), device, threads, precision)

    @property
    def max_batch(self) -> int:
        """What this backend takes in one pass."""
        return BATCH_ON_GPU if self.calls.fixed_shapes else BATCH_ON_CPU

    @property
    def incremental(self) -> bool:
        """`mel` features are causal and final; `hubert` ones belong to their window."""
        return self.network.incremental

    def speech_state(self) -> MelState | None:
        """Silence before the first sample."""
        return self.network.silence

    def encode(self, pcm: FloatArray, state: MelState | None) -> tuple[FloatArray, MelState | None]:
        """(n * 640,) samples -> (n, F) rows, and the encoder's state after them."""
        return self.encode_many([pcm], [state])[0]

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[MelState | None]
    ) -> list[tuple[FloatArray, MelState | None]]:
        """Streams of one length, each from its own state."""
        known = [state for state in states if state is not None]
        parts = zip(MelState._fields, zip(*known, strict=True), strict=True)
        before = {name: [part[0] for part in own] for name, own in parts}
        stay = len(MelState._fields)
        rows, *after = self.calls.run(self.network.hear, {"pcm": pcms, **before}, {}, stay=stay)
        if len(known) == 1:
            return [(rows[0], MelState(*after))]
        # Copies, as a view would keep the whole batch alive for as long as one session idles.
        return [
            (row.copy(), MelState(*(part[i : i + 1].clone() for part in after)))
            for i, row in enumerate(rows)
        ]

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """(n * 640,) samples -> (n, F) rows, from one pass over them all."""
        return self.encode_window_many([pcm])[0]

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """Windows of one length."""
        if self.incremental:
            states = [self.speech_state() for _ in pcms]
            return [rows for rows, _ in self.encode_many(pcms, states)]
        return list(self.calls.run(self.network.hear_window, {"pcm": pcms}, {})[0])

    def hop_graph(self, kind: HopKind) -> HopGraph | None:
        """It has none; on a GPU it has slots."""
        return None

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """Slots for so many streams, where calls are captured: on a GPU."""
        if not isinstance(self.calls, CapturedCalls):
            return None
        from stream.backends.slots.round_slots import RoundSlots
        from stream.backends.slots.torch_rounds import TorchRounds

        def on_device(row: NDArray[Any], part: Tensor) -> Tensor:
            return torch.from_numpy(row).reshape(part.shape).to(part.device)

        rounds = TorchRounds(self, kind, count, self.calls.another())
        return RoundSlots(self, kind, count, rounds, on_device)

    def getting_ready(self) -> AbstractContextManager[None]:
        """See `Backend`."""
        return self.calls.readiness.getting_ready()

    def sample(self, call: SamplerCall) -> FloatArray:
        """Few-step sampling of one window: (n, D) normalised motion."""
        return self.sample_many([call])[0]

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """Few-step sampling of windows of one `batch_key`, in one pass."""
        one = calls[0]
        contexts = [self._context(call) for call in calls]
        rows: dict[str, list[FloatArray]] = {
            "noise": [call.noise for call in calls],
            "noise_scale": [call.noise_scale[None] for call in calls],
            "features": [
                np.concatenate([features, call.features])
                for (features, _), call in zip(contexts, calls, strict=True)
            ],
            "context_motion": [motion for _, motion in contexts],
        }
        conditions = [call.conditions for call in calls]
        for name in one.conditions.vectors():
            if name != "style" or self.spec.use_style:
                rows[name] = [each.vectors()[name] for each in conditions]
        n, m = len(one.features), len(one.known)
        if self.calls.fixed_shapes and n == self.spec.T_w:
            # Sliding windows, from a stream's first to its full ones, are one kind of call.
            known = np.zeros((len(calls), n, self.spec.d_motion), np.float32)
            for row, call in zip(known, calls, strict=True):
                row[:m] = call.known
            rows["known"] = list(known)
            rows["known_count"] = [np.array([m], np.float32)] * len(calls)
            rows["valid"] = [np.array([call.valid], np.float32) for call in calls]
        else:
            if m:
                rows["known"] = [call.known for call in calls]
            if any(call.valid < n for call in calls):
                rows["valid"] = [np.array([call.valid], np.float32) for call in calls]
        settings: dict[str, float | None] = {
            "steps": one.steps,
            "threshold": one.threshold_quantile,
        }
        for name in ("audio_guidance", "style_guidance"):
            scales = [getattr(each, name) for each in conditions]
            alike = all(scale == scales[0] for scale in scales)
            if alike and (scales[0] == 1.0 or not self.calls.fixed_shapes):
                settings[name] = scales[0]
            else:
                rows[name] = [np.array(scale, np.float32) for scale in scales]
        return list(self.calls.run(self.network.solve, rows, settings)[0])

    def _context(self, call: SamplerCall) -> tuple[FloatArray, FloatArray]:
        """Features and motion of the context, start features filled in: (T_p, F), (T_p, D)."""
        features, motion, gap = call.context_features, call.context_motion, call.missing
        if gap:
            features = np.concatenate([self.start_features[:gap], features[gap:]])
            motion = np.concatenate([self._start_motion[:gap], motion[gap:]])
        return features, motion


def _no_tf32() -> None:
    """Have fp32 be fp32 on a GPU: cuDNN's convolutions would keep 10 bits of the mantissa."""
    for part in (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        part.fp32_precision = "ieee"
