"""The torch backend: a bundle's own networks, on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from diffposetalk.audio_terms import AudioTerms
from diffposetalk.bundle import Bundle, load_bundle
from diffposetalk.guidance import guided_denoiser
from diffposetalk.hubert import hubert_features
from diffposetalk.mel import MelEncoder, MelState, initial_state
from diffposetalk.precision import make_ready
from diffposetalk.samplers import dpm_solver_pp_2m, known_prefix
from stream.backends.protocol import FloatArray, SamplerCall, Statistics
from stream.cores import usable_cores

THREADS, MOST_THREADS = 1, 4
"""A hop of the starter is too small for two threads, and spinning ones starve the program; with
HuBERT there is work for some."""


class TorchBackend:
    """A bundle behind the `Backend` protocol.

    A feature row is what is final of a frame of speech: with `mel` its audio terms of every layer,
    flattened, (3 L d,); with `hubert`, whose features last for one window, the feature, (d,).

    Args:
        bundle: weights, statistics and named styles.
        device: 'cpu', 'cuda', ...
        threads: of torch's CPU kernels.
        precision: of the matrix products, 'fp32' or 'bf16', see `diffposetalk.precision`.

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
        self.threads, self.precision = threads, precision
        self.spec = bundle.spec
        self.styles: Mapping[str, FloatArray] = bundle.styles
        self.statistics: Statistics = bundle.statistics
        self.head_id, self.bundle_hash = bundle.head_id, bundle.hash
        self.device = torch.device(device)
        self.model = make_ready(bundle.model().to(self.device), precision)
        self._layers = self.spec.denoiser.n_layers
        self._d = self.spec.denoiser.d_model
        with torch.inference_mode():
            self._start = self._rows(self.model.start_audio_feat)[0]  # (T_p, F)
            self._start_motion = self.model.start_motion_feat[0].cpu().numpy()  # (T_p, D)

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
            diffposetalk.bundle.BundleError: it cannot be read.
            ValueError: the network cannot have that precision.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(load_bundle(bundle), device, threads, precision)

    @property
    def incremental(self) -> bool:
        """`mel` features are causal and final; `hubert` ones belong to their window."""
        return isinstance(self.model.audio_encoder, MelEncoder)

    def speech_state(self) -> MelState | None:
        """Silence before the first sample."""
        return initial_state(self.spec) if self.incremental else None

    def encode(
        self, pcm: FloatArray, state: MelState | None
    ) -> tuple[FloatArray, MelState | None]:
        """(n * 640,) samples -> (n, F) rows, and the encoder's state after them."""
        return self.encode_many([pcm], [state])[0]

    @torch.inference_mode()
    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[MelState | None]
    ) -> list[tuple[FloatArray, MelState | None]]:
        """Streams of one length, each from its own state."""
        assert isinstance(self.model.audio_encoder, MelEncoder)
        known = [state for state in states if state is not None]
        before = MelState(*(torch.cat(part).to(self.device) for part in zip(*known, strict=True)))
        features, after = self.model.audio_encoder.encode(self._tensor(pcms), before)
        rows = self._rows(self.model.audio_feature_map(features))
        if len(known) == 1:
            return [(rows[0], after)]
        # Copies, as a view would keep the whole batch alive for as long as one session idles.
        return [
            (row.copy(), MelState(*(part[i : i + 1].clone() for part in after)))
            for i, row in enumerate(rows)
        ]

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """(n * 640,) samples -> (n, F) rows, from one pass over them all."""
        return self.encode_window_many([pcm])[0]

    @torch.inference_mode()
    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """Windows of one length."""
        if isinstance(self.model.audio_encoder, MelEncoder):
            states = [self.speech_state() for _ in pcms]
            return [rows for rows, _ in self.encode_many(pcms, states)]
        features = hubert_features(self.model.audio_encoder, self._tensor(pcms))
        return list(self._rows(self.model.audio_feature_map(features)))

    def sample(self, call: SamplerCall) -> FloatArray:
        """Few-step sampling of one window: (n, D) normalised motion."""
        return self.sample_many([call])[0]

    @torch.inference_mode()
    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """Few-step sampling of windows of one `batch_key`, in one pass."""
        one = calls[0]
        n = len(one.features)
        indicator = None
        if any(call.valid < n for call in calls):
            valid = torch.tensor([call.valid for call in calls], device=self.device)
            indicator = (torch.arange(n, device=self.device) < valid[:, None]).float()
        contexts = [self._context(call) for call in calls]
        denoise = guided_denoiser(
            self.model,
            self._terms(
                [
                    np.concatenate([features, call.features])
                    for (features, _), call in zip(contexts, calls, strict=True)
                ]
            ),
            self._tensor([call.shape for call in calls]),
            self._tensor([call.style for call in calls]) if self.spec.use_style else None,
            self._tensor([motion for _, motion in contexts]),
            audio_scale=self._scale([call.audio_guidance for call in calls]),
            style_scale=self._scale([call.style_guidance for call in calls]),
            indicator=indicator,
            threshold_quantile=one.threshold_quantile,
            known=len(one.known),
        )
        known = None
        if len(one.known):
            known = known_prefix(self._tensor([call.known for call in calls]), n)
        x0 = dpm_solver_pp_2m(
            denoise,
            self._tensor([call.noise for call in calls]),
            one.steps,
            self.model.schedule,
            known=known,
            noise_scale=self._tensor([call.noise_scale[None] for call in calls]),
        )
        return list(self._array(x0))

    def _context(self, call: SamplerCall) -> tuple[FloatArray, FloatArray]:
        """Features and motion of the context, start features filled in: (T_p, F), (T_p, D)."""
        features, motion, gap = call.context_features, call.context_motion, call.missing
        if gap:
            features = np.concatenate([self._start[:gap], features[gap:]])
            motion = np.concatenate([self._start_motion[:gap], motion[gap:]])
        return features, motion

    def _scale(self, scales: list[float]) -> float | Tensor:
        """A guidance scale: a number when all calls have the same, else (B,)."""
        if all(scale == scales[0] for scale in scales):
            return scales[0]
        return torch.tensor(scales, dtype=torch.float32, device=self.device)

    def _rows(self, features: Tensor) -> FloatArray:
        """Features (B, n, d) -> rows of what is kept of them (B, n, F)."""
        if not self.incremental:
            return self._array(features)
        terms = torch.stack(self.model.denoising_net.audio_terms(features))  # (3, L, B, n, d)
        return self._array(terms.permute(2, 3, 0, 1, 4).flatten(2))

    def _terms(self, rows: list[FloatArray]) -> AudioTerms:
        """B times `_rows` (n, F) -> audio terms (L, B, n, d) each."""
        batch = self._tensor(rows)
        if not self.incremental:
            return self.model.denoising_net.audio_terms(batch)
        stacked = batch.unflatten(2, (3, self._layers, self._d))
        return AudioTerms(*stacked.permute(2, 3, 0, 1, 4).contiguous())

    @staticmethod
    def _array(tensor: Tensor) -> FloatArray:
        array: FloatArray = tensor.float().cpu().numpy()
        return array

    def _tensor(self, arrays: Sequence[FloatArray]) -> Tensor:
        """Equal arrays as one batch, on the device."""
        if len(arrays) == 1:
            batch = np.ascontiguousarray(arrays[0], np.float32)[None]
        else:
            batch = np.stack(arrays).astype(np.float32, copy=False)
        return torch.from_numpy(batch).to(self.device)
