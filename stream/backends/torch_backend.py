"""The torch backend: a bundle's own networks, on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffposetalk.audio_terms import AudioTerms
from diffposetalk.bundle import Bundle, load_bundle
from diffposetalk.guidance import guided_denoiser
from diffposetalk.hubert import hubert_features
from diffposetalk.mel import MelEncoder, MelState, initial_state
from diffposetalk.samplers import dpm_solver_pp_2m, known_prefix
from stream.backends.protocol import FloatArray, SamplerCall, Statistics

LEAST_DEVIATION = 0.02
"""Of samples, -34 dB of full scale: soft speech into a microphone."""

THREADS = 1
"""A hop of the starter is too small for two threads, and spinning ones starve the program."""


class TorchBackend:
    """A bundle behind the `Backend` protocol.

    A feature row is the frame's audio terms of every layer, flattened: (3 L d,).

    Args:
        bundle: weights, statistics and named styles.
        device: 'cpu', 'cuda', ...
        threads: of torch's CPU kernels.
    """

    name = "torch"

    def __init__(self, bundle: Bundle, device: str = "cpu", threads: int | None = None) -> None:
        torch.set_num_threads(threads or THREADS)
        self.spec = bundle.spec
        self.styles: Mapping[str, FloatArray] = bundle.styles
        self.statistics: Statistics = bundle.statistics
        self.head_id, self.bundle_hash = bundle.head_id, bundle.hash
        self.device = torch.device(device)
        self.model = bundle.model().to(self.device).eval()
        self._layers = self.spec.denoiser.n_layers
        self._d = self.spec.denoiser.d_model
        with torch.inference_mode():
            self._start = self._rows(self.model.start_audio_feat)  # (T_p, F)
            self._start_motion = self.model.start_motion_feat[0].cpu().numpy()  # (T_p, D)

    @classmethod
    def load(
        cls, bundle: str = "starter", device: str | None = None, threads: int | None = None
    ) -> TorchBackend:
        """Load a bundle by name or folder, on the GPU when there is one.

        Raises:
            diffposetalk.bundle.BundleError: it cannot be read, or its head is not here.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = load_bundle(bundle)
        loaded.require_head()
        return cls(loaded, device, threads)

    @property
    def incremental(self) -> bool:
        """`mel` features are causal and final; `hubert` ones belong to their window."""
        return isinstance(self.model.audio_encoder, MelEncoder)

    def speech_state(self) -> MelState | None:
        """Silence before the first sample."""
        return initial_state(self.spec) if self.incremental else None

    @torch.inference_mode()
    def encode(
        self, pcm: FloatArray, state: MelState | None
    ) -> tuple[FloatArray, MelState | None]:
        """(n * 640,) samples -> (n, F) rows, and the encoder's state after them."""
        assert isinstance(self.model.audio_encoder, MelEncoder) and state is not None
        on_device = MelState(*(part.to(self.device) for part in state))
        features, state = self.model.audio_encoder.encode(self._tensor(pcm), on_device)
        return self._rows(self.model.audio_feature_map(features)), state

    @torch.inference_mode()
    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """(n * 640,) samples -> (n, F) rows, from one pass over them all."""
        if isinstance(self.model.audio_encoder, MelEncoder):
            return self.encode(pcm, self.speech_state())[0]
        # Live there is no whole clip: the window stands in for it (official normalisation), with a
        # floor on its deviation, so that a silent room is not pumped up to full scale.
        normal = (pcm - pcm.mean()) / max(float(pcm.std(ddof=1)), LEAST_DEVIATION)
        features = hubert_features(self.model.audio_encoder, self._tensor(normal))
        return self._rows(self.model.audio_feature_map(features))

    @torch.inference_mode()
    def sample(self, call: SamplerCall) -> FloatArray:
        """Few-step sampling of one window: (n, D) normalised motion."""
        context, motion = call.context_features, call.context_motion
        if call.missing:
            context = np.concatenate([self._start[: call.missing], context[call.missing :]])
            motion = np.concatenate([self._start_motion[: call.missing], motion[call.missing :]])
        n = len(call.features)
        indicator = None
        if call.valid < n:
            indicator = (torch.arange(n, device=self.device) < call.valid).float()[None]
        denoise = guided_denoiser(
            self.model,
            self._terms(np.concatenate([context, call.features])),
            self._tensor(call.shape),
            self._tensor(call.style) if self.spec.use_style else None,
            self._tensor(motion),
            audio_scale=call.audio_guidance,
            style_scale=call.style_guidance,
            indicator=indicator,
            threshold_quantile=call.threshold_quantile,
        )
        x0 = dpm_solver_pp_2m(
            denoise,
            self._tensor(call.noise),
            call.steps,
            self.model.schedule,
            known=known_prefix(self._tensor(call.known), n) if len(call.known) else None,
            noise_scale=self._tensor(call.noise_scale)[0],
        )
        out: FloatArray = x0[0].cpu().numpy()
        return out

    def _rows(self, features: Tensor) -> FloatArray:
        """Features (1, n, d) -> their audio terms as rows (n, 3 L d)."""
        terms = torch.stack(self.model.denoising_net.audio_terms(features))  # (3, L, 1, n, d)
        rows: FloatArray = terms[:, :, 0].permute(2, 0, 1, 3).flatten(1).cpu().numpy()
        return rows

    def _terms(self, rows: FloatArray) -> AudioTerms:
        """The inverse of `_rows`: (n, 3 L d) -> audio terms (L, 1, n, d) each."""
        stacked = torch.from_numpy(rows).to(self.device).unflatten(1, (3, self._layers, self._d))
        return AudioTerms(*stacked.permute(1, 2, 0, 3)[:, :, None].contiguous())

    def _tensor(self, array: FloatArray) -> Tensor:
        """A numpy array with a batch axis, on the device."""
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(self.device)
