"""Slots of the torch backend: every stream's state on the card, a round one captured graph.

The state is one tensor a kind of rows, (slots, ...).  A graph takes the numbers of a round's slots
and its new sound and noise, gathers the states, hears, samples, and puts the states back.  Written
by torch's documentation and never run on a GPU; `EagerCapture` runs the same code on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.network.mel import MelEncoder, MelState
from stream.backends.cuda_graphs import CapturedCalls
from stream.backends.protocol import FloatArray, RuntimeProblem, SpeechState
from stream.backends.slots.hop_slots import Guided, HopKind, Slots

if TYPE_CHECKING:
    from stream.backends.torch_backend import TorchBackend

MOST_MEL, MOST_HUBERT = 1024, 64
"""Streams in one call: of the small encoder, whose hops are a few tokens, and of HuBERT, which
hears whole windows (a window of 64 streams takes some gigabytes on its way)."""

SPARE = 1
"""The first slot is nobody's: what is captured runs there while it is made."""


class TorchSlots:
    """States of streams on the backend's device, as `HopSlots`.

    Args:
        backend: of the streams.
        kind: of their hops.
        count: slots.
        calls: captures that nobody else uses.
    """

    def __init__(
        self, backend: TorchBackend, kind: HopKind, count: int, calls: CapturedCalls
    ) -> None:
        self._backend, self._kind, self.count, self._calls = backend, kind, count, calls
        spec, model, device = backend.spec, backend.model, backend.device
        self._n, self._reach = kind.window(spec), kind.reach(spec)
        self.most = min(MOST_MEL if backend.incremental else MOST_HUBERT, _power(count))
        shapes: dict[str, tuple[int, ...]] = {
            "motion": (self._reach - kind.lookahead, spec.d_motion),
            "held_noise": (self._n, spec.d_motion),
            "committed": (),
        }
        self._start_rows = torch.from_numpy(backend.start_features).to(device)
        if backend.incremental:
            assert isinstance(model.audio_encoder, MelEncoder)
            self._silence = model.audio_encoder.initial_state()
            shapes["features"] = (self._reach, self._start_rows.shape[1])
            shapes |= {n: tuple(part.shape[1:]) for n, part in self._silence._asdict().items()}
        else:
            shapes["sound"] = (self._reach * spec.frame_samples,)
        self._states = tuple(shapes)
        shapes |= {
            "noise_scale": (1, spec.d_motion),
            "shape": (spec.n_shape,),
            "audio_guidance": (),
            "style_guidance": (),
        }
        if spec.use_style:
            shapes["style"] = (spec.style.d_style,)
        self._pool = {
            name: torch.zeros((count + SPARE, *shape), device=device)
            for name, shape in shapes.items()
        }

    def prepare(self, guided: Guided) -> None:
        """Capture every size of a round."""
        size = 1
        while size <= self.most:
            self._calls.prepare(self._hop, self._shapes(), size, self._settings(guided))
            size *= 2

    def put(self, slot: int, rows: Mapping[str, NDArray[Any]], speech: SpeechState) -> None:
        """See `HopSlots`."""
        self._write(slot, {**rows, **({} if speech is None else speech._asdict())})

    def get(self, slot: int) -> tuple[dict[str, NDArray[Any]], SpeechState]:
        """See `HopSlots`."""
        at = slot + SPARE
        heard = MelState._fields if self._backend.incremental else ()
        with self._calls.alone():
            rows = {
                name: self._pool[name][at].cpu().numpy().copy()
                for name in self._states
                if name not in heard
            }
            speech = {name: self._pool[name][at : at + 1].clone() for name in heard}
        return rows, MelState(**speech) if speech else None

    def condition(self, slot: int, values: Mapping[str, Any]) -> None:
        """See `HopSlots`."""
        self._write(slot, {name: values[name] for name in values if name in self._pool})

    def run(self, slots: Slots, pcm: FloatArray, noise: FloatArray, guided: Guided) -> FloatArray:
        """See `HopSlots`."""
        rows = {"slot": (slots + SPARE).astype(np.float32), "pcm": pcm, "noise": noise}
        try:
            fresh: FloatArray = self._calls.run(self._hop, rows, self._settings(guided))[0]
        except RuntimeError as error:
            why = " ".join(str(error).split())[:300]
            raise RuntimeProblem(f"torch cannot make a hop of {len(slots)}: {why}") from None
        return fresh

    def _write(self, slot: int, values: Mapping[str, Any]) -> None:
        with self._calls.alone():
            for name, value in values.items():
                place = self._pool[name][slot + SPARE]
                given = torch.as_tensor(value, dtype=torch.float32)
                place.copy_(given.reshape(place.shape))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of a row of each input of a round."""
        spec, hop = self._backend.spec, self._kind.hop
        return {"slot": (), "pcm": (hop * spec.frame_samples,), "noise": (hop, spec.d_motion)}

    def _settings(self, guided: Guided) -> dict[str, bool]:
        if self._backend.spec.denoiser.guidance_input:
            guided = (True, True)  # one branch, whatever the scales are
        return {"guide_audio": guided[0], "guide_style": guided[1]}

    def _hop(
        self, slot: Tensor, pcm: Tensor, noise: Tensor, *, guide_audio: bool, guide_style: bool
    ) -> tuple[Tensor, ...]:
        """A round: slots (B,), pcm (B, 640 H), noise (B, H, D) -> new motion (B, H, D)."""
        backend, kind, spec = self._backend, self._kind, self._backend.spec
        at = slot.long()
        own = {name: pool.index_select(0, at) for name, pool in self._pool.items()}
        rows, after = self._hear(pcm, own)
        held = torch.cat([own["held_noise"], noise], 1)[:, -self._n :]
        known = self._n - kind.hop - kind.lookahead
        seen = own["motion"][:, -(spec.T_p + known) :]
        context, known_motion = seen[:, : spec.T_p], seen[:, spec.T_p :]
        if kind.window_rule == "adjacent":
            number = torch.arange(spec.T_p, device=at.device)
            missing = (number < spec.T_p - own["committed"][:, None])[..., None]
            start_motion = backend.model.start_motion_feat[0]
            context = torch.where(missing, start_motion, context)
            start = torch.where(missing, self._start_rows, rows[:, : spec.T_p])
            rows = torch.cat([start, rows[:, spec.T_p :]], 1)
        vectors = {name: own[name] for name in ("shape", "style") if name in own}
        (x0,) = backend.network.solve(
            held,
            own["noise_scale"],
            rows,
            context,
            known=known_motion if known else None,
            audio_guidance=own["audio_guidance"] if guide_audio else 1.0,
            style_guidance=own["style_guidance"] if guide_style else 1.0,
            steps=kind.steps,
            threshold=spec.live.threshold_quantile,
            **vectors,
        )
        fresh = x0[:, known : known + kind.hop]
        after |= {
            "motion": torch.cat([own["motion"], fresh], 1)[:, kind.hop :],
            "held_noise": held,
            "committed": own["committed"] + kind.hop,
        }
        for name, value in after.items():
            self._pool[name].index_copy_(0, at, value)
        return (fresh,)

    def _hear(self, pcm: Tensor, own: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Feature rows of context and window, (B, L, F), and what is remembered of the sound."""
        backend = self._backend
        if not backend.incremental:
            sound = torch.cat([own["sound"], pcm], 1)[:, pcm.shape[1] :]
            return backend.network.hear_window(sound)[0], {"sound": sound}
        before = {name: own[name] for name in MelState._fields}
        fresh, *state = backend.network.hear(pcm, **before)
        rows = torch.cat([own["features"], fresh], 1)[:, -self._reach :]
        return rows, {"features": rows, **MelState(*state)._asdict()}


def _power(count: int) -> int:
    """The power of two from `count` on."""
    return 1 << max(0, count - 1).bit_length()
