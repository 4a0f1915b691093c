"""One speaker's stream: blocks of audio in, finished frames out.

No I/O, no threads, no clock.  `feed` calls the model at e = R + n H whatever the blocks were, so
any block sizes give the same frames, bit for bit: same backend, threads and batch size.

One model call is four moves, so that a scheduler can put the work of many sessions into one batch:

    begin -> SpeechCall                   set_features(features, state)
    prepare -> SamplerCall                commit(x0) -> frames

`feed`, `step` and `finish` make them with the session's own backend, one session at a time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from stream.backends.protocol import (
    Backend,
    FloatArray,
    SamplerCall,
    SpeechCall,
    SpeechState,
    encode_speech,
)
from stream.core.conditions import NATURAL, ConditionChange, ConditionTrack
from stream.core.fence import is_motion
from stream.core.options import NoiseStrengths, SessionOptions, hop_kind
from stream.core.shown.idle_motion import Manner
from stream.core.state import SessionState
from stream.core.windows import Window, plan
from stream.frames import Frame

if TYPE_CHECKING:
    from head.retarget import Retarget

log = logging.getLogger(__name__)


class Session:
    """The streaming state of one speaker, and the settings that it speaks with.

    Args:
        backend: the model; it holds no state.
        options: live settings.
        shape: (n_shape,) raw identity, default the statistics' mean; of no meaning where frames
            are for another head.
        style: a named style of the bundle, a mix such as 'calm*0.7+lively*0.3', or a (d_style,)
            vector; default the first named one.
        seed: of the noise.
        retarget: maps emitted motion to another head than the model's.

    Attributes:
        state: what it remembers; belongs to it (`copy_state`, `go_on_from`).
        options: as they were asked for.
        conditions: who speaks, how, and how strongly.
        kind: of its hops. noise_strengths: of the initial noise; noise_scale: (D,), by channel.

    Raises:
        ValueError: settings that the window cannot hold, an unknown style, or a shape or style of
            another size or with numbers that are not finite.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        options: SessionOptions | None = None,
        shape: FloatArray | None = None,
        style: str | FloatArray | None = None,
        seed: int = 0,
        retarget: Retarget | None = None,
    ) -> None:
        self.backend, self.seed, self.retarget = backend, seed, retarget
        self.options = options or SessionOptions()
        options, live = self.options, backend.spec.live
        self.kind = hop_kind(options, backend.spec)
        self.hop, self.lookahead = self.kind.hop, self.kind.lookahead
        self.steps, self.window_rule = self.kind.steps, self.kind.window_rule
        self.noise_strengths = NoiseStrengths.of(options, live)
        self.noise_scale = self.noise_strengths.by_channel(backend)
        audio, style_scale = options.audio_guidance, options.style_guidance
        self.conditions = ConditionTrack(
            backend,
            shape,
            style,
            live.audio_guidance if audio is None else audio,
            live.style_guidance if style_scale is None else style_scale,
            NATURAL if options.gaze is None else options.gaze,
            bool(options.still),
        )
        self.state = SessionState.at_start(backend, seed)
        self._window: Window | None = None  # of the call that has begun and is not committed

    @property
    def head_id(self) -> str:
        """The head that its frames move."""
        return self.backend.head_id if self.retarget is None else self.retarget.target.id

    @property
    def shape(self) -> FloatArray:
        """(n_shape,) raw identity that its frames show; zeros on a head that is not the model's."""
        shape = self.conditions.shape
        return shape if self.retarget is None else np.zeros_like(shape)

    @property
    def style_name(self) -> str:
        """The style that it was asked to speak in; `custom` for a vector."""
        return self.conditions.style_name

    @property
    def audio_guidance(self) -> float:
        """How strongly the next call follows the voice; 1 is as trained."""
        return self.conditions.audio_guidance

    @property
    def style_guidance(self) -> float:
        """How strongly the next call follows the style; 1 is as trained."""
        return self.conditions.style_guidance

    @property
    def committed(self) -> int:
        """Frames before it were emitted and never change."""
        return self.state.committed

    @property
    def broken_outputs(self) -> int:
        """Outputs of the model that were no motion, and that rest was shown for."""
        return self.state.fence.broken

    @property
    def end(self) -> int:
        """The last call's end; frames before it had all their sound."""
        return self.state.end

    def change(self, request: ConditionChange) -> None:
        """Speak like this from the next call on, see `ConditionTrack.change`.

        Raises:
            ValueError: a condition that cannot be; all stay as they are.
        """
        self.conditions.change(request, self.committed)

    def set_style(self, style: str | FloatArray | None) -> None:
        """Speak in this style from the next call on; None is the first named one.

        Raises:
            ValueError: a style that cannot be; it stays as it is.
        """
        first = next(iter(self.backend.styles))
        self.change(ConditionChange(style=first if style is None else style))

    def set_guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Guide by these scales from the next call on; None leaves one as it is, 1 = unguided.

        Raises:
            ValueError: not a number from 0 to 20; both stay as they are.
        """
        self.change(ConditionChange(audio_guidance=audio, style_guidance=style))

    def copy_state(self) -> SessionState:
        """What it remembers, as a value of its own."""
        return self.state.copy()

    def go_on_from(self, state: SessionState) -> None:
        """Go on from a state that `copy_state` gave; it belongs to the session from here on."""
        self.state, self._window = state, None

    def reset(self) -> None:
        """Forget everything but the settings: the next block is sample 0."""
        self.go_on_from(SessionState.at_start(self.backend, self.seed))
        self.conditions.begin_anew()

    @property
    def pending(self) -> bool:
        """Whether a model call has something to do now."""
        ended = self.state.audio.closed and self._arrived > self.committed
        return self.pending_hops > 0 or ended

    @property
    def _arrived(self) -> int:
        """Whole frames of audio so far."""
        return self.state.audio.end // self.backend.spec.frame_samples

    @property
    def pending_hops(self) -> int:
        """Hops whose audio has all arrived and that no call has covered yet."""
        return max(0, (self._arrived - max(self.end, self.lookahead)) // self.hop)

    @property
    def most_hops(self) -> int:
        """Hops that one call may merge: as many as the window holds."""
        return (self.backend.spec.T_w - self.lookahead) // self.hop

    def append(self, block: FloatArray) -> None:
        """Take a block, (n,) mono samples in [-1, 1] at 16 kHz, without calling the model."""
        self.state.audio.append(block)

    def end_audio(self) -> None:
        """No more audio will come: `pending` until the frames still held back are out, too."""
        self.state.audio.close()

    def step(self, hops: int = 1) -> list[Frame]:
        """One model call over the next `hops` hops, all of whose audio has arrived.

        Only a live loop that is late merges (`hops` > 1): the frames then differ from the
        unmerged ones, as a longer window is sampled; latency grows, no frame is lost.
        """
        self._window = None  # of a call that failed
        return self.commit(self.backend.sample_many([self.prepare(hops)])[0])

    def feed(self, block: FloatArray) -> list[Frame]:
        """Take a block and return every frame that it completes."""
        self.append(block)
        frames: list[Frame] = []
        while self.pending_hops:
            frames += self.step()
        return frames

    def finish(self) -> list[Frame]:
        """The audio is over: the frames still held back (R = 0 at e = floor(samples / 640))."""
        self.end_audio()
        frames: list[Frame] = []
        while self.pending:
            frames += self.step()
        return frames

    # --- one model call in parts ---------------------------------------------------------------
    def begin(self, hops: int = 1) -> SpeechCall | None:
        """Begin a call over the next `hops` hops, or over the rest once the audio has ended.

        A call that was begun and not committed is begun anew.

        Returns:
            Speech to encode and to hand to `set_features`; None when all of it has been encoded.
        """
        assert self.pending, "the caller checks `pending`"
        self.state.come_home()
        end, lookahead = max(self.end, self.lookahead) + hops * self.hop, self.lookahead
        if self.pending_hops:
            assert 1 <= hops <= min(self.pending_hops, self.most_hops), "so many hops are not here"
        else:
            end, lookahead = self._arrived, 0
        spec = self.backend.spec
        self._window = plan(self.window_rule, self.committed, end, lookahead, spec.T_w, spec.T_p)
        return self.state.front_end.begin(self.state.audio, self._window)

    def set_features(self, features: FloatArray, state: SpeechState = None) -> None:
        """The features (n, F) of what `begin` returned, and the encoder's state after it."""
        assert self._window is not None, "begin() comes first"
        self.state.front_end.set_features(self._window, features, state)

    def prepare(self, hops: int = 1) -> SamplerCall:
        """What to sample for the call; unless `begin` was called, begins and encodes it as well."""
        if self._window is None:
            speech = self.begin(hops)
            if speech is not None:
                self.set_features(*encode_speech(self.backend, [speech])[0])
        window, state, spec = self._window, self.state, self.backend.spec
        assert window is not None
        features, context_features = state.front_end.features(window)
        return SamplerCall(
            features=features,
            context_features=context_features,
            context_motion=state.motion_rows(window.start - spec.T_p, window.start),
            missing=window.missing,
            noise=state.noise.take(window.start, window.start + window.length),
            noise_scale=self.noise_scale,
            known=state.motion_rows(window.start, window.committed),
            valid=window.end - window.start,
            conditions=self.conditions.at(self.committed),
            steps=self.steps,
            threshold_quantile=spec.live.threshold_quantile,
        )

    def commit(self, x0: FloatArray) -> list[Frame]:
        """The call's sampled motion, (length, D) normalised: keep and return the new frames."""
        window, state = self._window, self.state
        assert window is not None, "prepare() comes first"
        fresh = x0[window.committed - window.start : window.emit_end - window.start]
        if not is_motion(fresh):
            return self.rest(window.emit_end, window.end)
        state.motion = np.concatenate([state.motion, fresh])
        frames = self._frames(fresh, window.committed)
        state.committed, state.end = window.emit_end, window.end
        self._window = None
        state.forget(self._reach(), self.backend.spec.frame_samples)
        return frames

    def _frames(self, fresh: FloatArray, first: int) -> list[Frame]:
        """Normalised motion of frames [first, ...) as it is emitted."""
        statistics = self.backend.statistics
        raw = fresh * statistics.motion_std + statistics.motion_mean
        manner = Manner(
            np.array([self.state.front_end.speaking]),
            np.array([self.conditions.gaze]),
            np.array([self.conditions.still]),
        )
        self.state.idle.apply(raw[None], manner)
        return self._shown(self.state.fence.show(raw), first)

    def rest(self, emit_end: int, end: int) -> list[Frame]:
        """The frames up to `emit_end` in place of an output that is no motion.

        What the session remembers is forgotten, so that what comes next is motion again.
        """
        state, first = self.state, self.committed
        raw = state.fence.rest(emit_end - first, self.backend.spec.d_motion)
        if state.fence.broken == 1:
            log.warning("the model made what is no motion: the face rests, and it begins anew")
        state.begin_anew(self.backend, emit_end, end)
        self._window = None
        return self._shown(raw, first)

    def _shown(self, raw: FloatArray, first: int) -> list[Frame]:
        """Raw motion (n, D) of frames [first, ...) on the head that is shown."""
        shown = raw.astype(np.float32) if self.retarget is None else self.retarget(raw)
        return [
            Frame(sequence, sequence * self.backend.spec.frame_samples, motion)
            for sequence, motion in enumerate(shown, first)
        ]

    def _reach(self) -> int:
        """The first frame that a later window can see."""
        spec, reach = self.backend.spec, self.committed - self.backend.spec.T_p
        if self.window_rule == "sliding":
            reach = min(reach, self.end - spec.T_w - spec.T_p)
        return reach
