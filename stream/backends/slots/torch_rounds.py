"""Rounds of the torch backend: every stream's state on the card, a round one captured graph.

The state is one tensor a kind of rows, (slots, ...).  A graph takes what is new in a round, gathers
the states, hears, samples, and puts the states back.  Written by torch's documentation and never
run on a GPU; `EagerCapture` runs the same code on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diffposetalk.network.mel import MelEncoder, MelState
from stream.backends.cuda_graphs import CapturedCalls
from stream.backends.protocol import FloatArray, RuntimeProblem
from stream.backends.slots.hop_slots import Guided, HopKind, row_parts, row_width
from stream.backends.slots.round_slots import MOST_CAUSAL, MOST_WHOLE, SPARE, round_sizes

if TYPE_CHECKING:
    from stream.backends.torch_backend import TorchBackend


class TorchRounds:
    """States of streams on the backend's device, as `Rounds`.

    Args:
        backend: of the streams.
        kind: of their hops.
        count: slots.
        calls: captures that nobody else uses.
    """

    def __init__(
        self, backend: TorchBackend, kind: HopKind, count: int, calls: CapturedCalls
    ) -> None:
        self._backend, self._kind, self._calls = backend, kind, calls
        spec, model, device = backend.spec, backend.model, backend.device
        self._n, self._reach = kind.window(spec), kind.reach(spec)
        self.sizes = round_sizes(count, MOST_CAUSAL if backend.incremental else MOST_WHOLE)
        self._parts = row_parts(spec, kind.hop)
        shapes: dict[str, tuple[int, ...]] = {
            "motion": (self._reach - kind.lookahead, spec.d_motion),
            "held_noise": (self._n, spec.d_motion),
            "committed": (),
        }
        self._start_rows = torch.from_numpy(backend.start_features).to(device)
        if backend.incremental:
            assert isinstance(model.audio_encoder, MelEncoder)
            silence = model.audio_encoder.initial_state()
            shapes["features"] = (self._reach, self._start_rows.shape[1])
            shapes |= {n: tuple(part.shape[1:]) for n, part in silence._asdict().items()}
        else:
            shapes["sound"] = (self._reach * spec.frame_samples,)
        self._pool = {
            name: torch.zeros((count + SPARE, *shape), device=device)
            for name, shape in shapes.items()
        }

    def prepare(self, size: int, guided: Guided) -> None:
        """Capture a round, where the spare slot alone is worked on."""
        shapes = {"fresh": (row_width(self._parts),)}
        self._calls.prepare(self._round, shapes, size, _settings(guided))

    def put(self, number: int, rows: Mapping[str, Any]) -> None:
        """See `Rounds`."""
        with self._calls.alone():
            for name, value in rows.items():
                place = self._pool[name][number]
                given = torch.as_tensor(value, dtype=torch.float32)
                place.copy_(given.reshape(place.shape))

    def get(self, number: int) -> dict[str, NDArray[Any]]:
        """See `Rounds`."""
        with self._calls.alone():
            return {name: pool[number].cpu().numpy().copy() for name, pool in self._pool.items()}

    def run(self, fresh: FloatArray, guided: Guided) -> FloatArray:
        """See `Rounds`."""
        try:
            made: FloatArray = self._calls.run(self._round, {"fresh": fresh}, _settings(guided))[0]
        except RuntimeError as error:
            why = " ".join(str(error).split())[:300]
            raise RuntimeProblem(f"torch cannot make a round of {len(fresh)}: {why}") from None
        return made

    def close(self) -> None:
        """See `Rounds`; no thread is theirs."""

    def _round(self, fresh: Tensor, *, guide_audio: bool, guide_style: bool) -> tuple[Tensor, ...]:
        """What is new (B, W) -> new motion (B, H, D); the states move on."""
        backend, kind, spec = self._backend, self._kind, self._backend.spec
        given = {
            name: fresh[:, part.columns].reshape(-1, *part.shape)
            for name, part in self._parts.items()
        }
        at = given["slot"].long()
        own = {name: pool.index_select(0, at) for name, pool in self._pool.items()}
        rows, after = self._hear(given["pcm"], own)
        held = torch.cat([own["held_noise"], given["noise"]], 1)[:, -self._n :]
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
        vectors = {name: given[name] for name in ("shape", "style") if name in given}
        (x0,) = backend.network.solve(
            held,
            given["noise_scale"][:, None],
            rows,
            context,
            known=known_motion if known else None,
            audio_guidance=given["audio_guidance"] if guide_audio else 1.0,
            style_guidance=given["style_guidance"] if guide_style else 1.0,
            steps=kind.steps,
            threshold=spec.live.threshold_quantile,
            **vectors,
        )
        made = x0[:, known : known + kind.hop]
        after |= {
            "motion": torch.cat([own["motion"], made], 1)[:, kind.hop :],
            "held_noise": held,
            "committed": own["committed"] + kind.hop,
        }
        for name, value in after.items():
            self._pool[name].index_copy_(0, at, value)
        return (made,)

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


def _settings(guided: Guided) -> dict[str, bool]:
    return {"guide_audio": guided[0], "guide_style": guided[1]}
