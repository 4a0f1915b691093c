"""One speaker's stream: blocks of audio in, finished frames out.

No I/O, no threads, no clock.  `feed` calls the model at e = R + n H whatever the blocks were, so
any block sizes give the same frames, bit for bit: same backend, threads and batch size.

One model call is four moves, so that a scheduler can put the work of many sessions into one batch:

    begin -> SpeechCall    set_features(features, state)    prepare -> SamplerCall    commit(x0) ->
    frames

`feed`, `step` and `finish` make them with the session's own backend, one session at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from diffposetalk.bundle.styles import check_vector, resolve
from diffposetalk.spec import WindowRule
from head.channels import ARTICULATION
from stream.backends.protocol import Backend, FloatArray, SamplerCall, SpeechState
from stream.core.gaze import Gaze
from stream.core.level_normaliser import RunningLevel
from stream.core.lids import Lids
from stream.core.noise import NoiseTrack
from stream.core.retarget import OnHead
from stream.core.timeline import Timeline
from stream.core.windows import Window, plan
from stream.frames import Frame

MOST_GUIDANCE = 20.0
"""A guidance scale beyond this leaves nothing of the motion."""

MOST_NOISE = 10.0
"""Noise so many times as strong as the model was trained with drowns any motion."""

EASE_FRAMES = 8
"""Frames that a change of style takes while somebody speaks."""


@dataclass(frozen=True)
class SessionOptions:
    """Live settings; None takes the bundle's live default (`LiveDefaults`)."""

    hop: int | None = None
    lookahead: int | None = None
    steps: int | None = None
    window_rule: WindowRule | None = None
    audio_guidance: float | None = None
    style_guidance: float | None = None
    lip_noise: float | None = None
    head_noise: float | None = None
    face_noise: float | None = None


@dataclass(frozen=True)
class SpeechCall:
    """What a session's next model call needs of the speech encoder.

    Attributes:
        pcm: (n * 640,) samples; where windows are encoded whole (not `incremental`), of zero mean
            and unit deviation, see `running_level`.
        state: of the encoder before them; None where windows are encoded whole.
    """

    pcm: FloatArray
    state: SpeechState


class Session:
    """The streaming state of one speaker (audio, features, committed motion), and nothing else.

    Args:
        backend: the model; it holds no state.
        options: live settings.
        shape: (n_shape,) raw identity, default the statistics' mean.
        style: a named style of the bundle, a mix such as 'calm*0.7+lively*0.3', or a (d_style,)
            vector; default the first named one.
        seed: of the noise.

    Attributes:
        shape: (n_shape,) raw identity that it animates.

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
    ) -> None:
        self.backend = backend
        self.seed = seed
        spec, live, wish = backend.spec, backend.spec.live, options or SessionOptions()
        self.hop = live.hop if wish.hop is None else wish.hop
        self.lookahead = live.lookahead if wish.lookahead is None else wish.lookahead
        self.steps = live.steps if wish.steps is None else wish.steps
        self.window_rule = wish.window_rule or live.window_rule
        self.audio_guidance, self.style_guidance = live.audio_guidance, live.style_guidance
        self.set_guidance(wish.audio_guidance, wish.style_guidance)
        self.lip_noise = live.lip_noise if wish.lip_noise is None else wish.lip_noise
        self.head_noise = live.head_noise if wish.head_noise is None else wish.head_noise
        self.face_noise = live.face_noise if wish.face_noise is None else wish.face_noise
        self._rotation = slice(spec.n_expression, spec.d_motion - 1)
        self._noise_scale = np.full(spec.d_motion, self.face_noise, np.float32)
        self._noise_scale[[*ARTICULATION, spec.d_motion - 1]] = self.lip_noise
        self._noise_scale[self._rotation] = self.head_noise
        if self.hop < 1 or self.lookahead < 0 or self.hop + self.lookahead > spec.T_w:
            raise ValueError(
                f"hop {self.hop} (at least 1) and lookahead {self.lookahead} (at least 0) "
                f"must fit a window of {spec.T_w} frames"
            )
        if not 1 <= self.steps <= 20:
            raise ValueError(f"{self.steps} steps: choose 1 to 20 network calls per hop")
        statistics = backend.statistics
        raw_shape = statistics.shape_mean if shape is None else np.asarray(shape, np.float32)
        if raw_shape.shape != (spec.n_shape,):
            raise ValueError(f"a shape is ({spec.n_shape},), got {raw_shape.shape}")
        if not np.isfinite(raw_shape).all():
            raise ValueError("a shape is a row of finite numbers: this one has some that are not")
        for name in ("lip_noise", "head_noise", "face_noise"):
            scale = getattr(self, name)
            if not 0.0 <= scale <= MOST_NOISE:
                raise ValueError(f"{name} {scale:g}: choose a number from 0 to {MOST_NOISE:g}")
        # An identity of the model's head means nothing on another one.
        other = isinstance(backend, OnHead)
        self.shape = np.zeros_like(raw_shape) if other else raw_shape.copy()
        self._shape = (raw_shape - statistics.shape_mean) / statistics.shape_std
        self.committed = 0
        self.set_style(style)
        self.reset()

    def set_style(self, style: str | FloatArray | None) -> None:
        """Speak in this style from the next call on: a name, a mix of names, or a vector.

        Who speaks already takes it on over EASE_FRAMES, so that nothing jumps.

        Raises:
            ValueError: an unknown name, or a vector of another size or with numbers that are not
                finite; the style stays as it is.
        """
        styles, spec = self.backend.styles, self.backend.spec
        if style is None:
            style = next(iter(styles))
        named = isinstance(style, str)
        vector = resolve(style, styles) if isinstance(style, str) else check_vector(style)
        size = spec.style.d_style if spec.use_style else 0
        if vector.shape != (size,):
            raise ValueError(f"a style is ({size},), got {vector.shape}")
        self.style_name = str(style) if named else "custom"
        self._style_before = self._style_now() if self.committed else vector
        self._style, self._style_since = vector, self.committed

    def _style_now(self) -> FloatArray:
        """The style of the next call, between the one before and the one that is wanted."""
        share = np.float32((self.committed - self._style_since + 1) / EASE_FRAMES)
        if share >= 1.0 or self._style_before is self._style:
            return self._style
        return self._style_before + share * (self._style - self._style_before)

    def set_guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Guide by these scales from the next call on; None leaves one as it is, 1 = unguided.

        Raises:
            ValueError: not a number from 0 to 20; both stay as they are.
        """
        for name, scale in (("audio", audio), ("style", style)):
            if scale is not None and not (math.isfinite(scale) and 0.0 <= scale <= MOST_GUIDANCE):
                raise ValueError(
                    f"{name} guidance {scale:g}: choose a number from 0 to {MOST_GUIDANCE:g}"
                )
        self.audio_guidance = self.audio_guidance if audio is None else float(audio)
        self.style_guidance = self.style_guidance if style is None else float(style)

    def reset(self) -> None:
        """Forget everything: the next block is sample 0."""
        spec = self.backend.spec
        self._audio = Timeline()
        self._speech = self.backend.speech_state()
        # Rows hold frames [_past, ...): features (or, where windows are encoded whole, normalised
        # samples) up to what was encoded, motion up to `committed`.
        self._past = -spec.T_p
        self._features: FloatArray | None = None
        self._normal = np.zeros((spec.T_p, spec.frame_samples), np.float32)
        self._level = RunningLevel()
        self._motion = np.zeros((spec.T_p, spec.d_motion), np.float32)
        self._encoded = 0
        self._noise = NoiseTrack(
            self.seed, spec.d_motion, self._rotation, spec.live.head_noise_frames
        )
        self._shown: FloatArray | None = None  # the head's rotation in the newest frame
        self._gaze = Gaze(spec.live.gaze_frames)
        self._lids = Lids(spec.live.stare_frames, self.seed)
        self.committed = 0
        self.end = 0
        self._style_before, self._style_since = self._style, 0
        self._window: Window | None = None  # of the call that has begun and is not committed
        self._heard: FloatArray | None = None  # its features, where windows are encoded whole

    @property
    def pending(self) -> bool:
        """Whether a model call has something to do now."""
        return self.pending_hops > 0 or (self._audio.closed and self._arrived > self.committed)

    @property
    def _arrived(self) -> int:
        """Whole frames of audio so far."""
        return self._audio.end // self.backend.spec.frame_samples

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
        self._audio.append(block)

    def end_audio(self) -> None:
        """No more audio will come: `pending` until the frames still held back are out, too."""
        self._audio.close()

    def step(self, hops: int = 1) -> list[Frame]:
        """One model call over the next `hops` hops, all of whose audio has arrived.

        Only a live loop that is late merges (`hops` > 1): the frames then differ from the
        unmerged ones, as a longer window is sampled; latency grows, no frame is lost.
        """
        self._window = None  # of a call that failed
        return self.commit(self.backend.sample(self.prepare(hops)))

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
        end, lookahead = max(self.end, self.lookahead) + hops * self.hop, self.lookahead
        if self.pending_hops:
            assert 1 <= hops <= min(self.pending_hops, self.most_hops), "so many hops are not here"
        else:
            end, lookahead = self._arrived, 0
        spec = self.backend.spec
        window = plan(self.window_rule, self.committed, end, lookahead, spec.T_w, spec.T_p)
        self._window, self._heard = window, None
        if self.backend.incremental:
            if window.end <= self._encoded:
                return None
            return SpeechCall(self._read(self._encoded, window.end), self._speech)
        if window.end > self._encoded:
            fresh = self._read(self._encoded, window.end).reshape(-1, spec.frame_samples)
            self._normal = np.concatenate([self._normal, self._level.normalise(fresh)])
            self._encoded = window.end
        pcm = np.zeros((spec.T_p + window.length, spec.frame_samples), np.float32)
        heard = self._rows(self._normal, window.start - spec.T_p, window.end)
        pcm[: len(heard)] = heard
        return SpeechCall(pcm.reshape(-1), None)

    def set_features(self, features: FloatArray, state: SpeechState = None) -> None:
        """The features (n, F) of what `begin` returned, and the encoder's state after it."""
        assert self._window is not None, "begin() comes first"
        if not self.backend.incremental:
            self._heard = features
            return
        if self._features is None:
            self._features = np.zeros((self.backend.spec.T_p, features.shape[1]), np.float32)
        self._features = np.concatenate([self._features, features])
        self._speech, self._encoded = state, self._window.end

    def prepare(self, hops: int = 1) -> SamplerCall:
        """What to sample for the call; unless `begin` was called, begins and encodes it as well."""
        if self._window is None:
            speech = self.begin(hops)
            if speech is not None and self.backend.incremental:
                self.set_features(*self.backend.encode(speech.pcm, speech.state))
            elif speech is not None:
                self.set_features(self.backend.encode_window(speech.pcm))
        window, spec = self._window, self.backend.spec
        assert window is not None
        features, context_features = self._window_features(window)
        return SamplerCall(
            features=features,
            context_features=context_features,
            context_motion=self._rows(self._motion, window.start - spec.T_p, window.start),
            missing=window.missing,
            noise=self._noise.take(window.start, window.start + window.length),
            noise_scale=self._noise_scale,
            known=self._rows(self._motion, window.start, window.committed),
            valid=window.end - window.start,
            shape=self._shape,
            style=self._style_now(),
            steps=self.steps,
            audio_guidance=self.audio_guidance,
            style_guidance=self.style_guidance,
            threshold_quantile=spec.live.threshold_quantile,
        )

    def commit(self, x0: FloatArray) -> list[Frame]:
        """The call's sampled motion, (length, D) normalised: keep and return the new frames."""
        window = self._window
        assert window is not None, "prepare() comes first"
        fresh = x0[window.committed - window.start : window.emit_end - window.start]
        self._motion = np.concatenate([self._motion, fresh])
        frames = self._frames(fresh, window.committed)
        self.committed, self.end = window.emit_end, window.end
        self._window = self._heard = None
        self._forget()
        return frames

    def _frames(self, fresh: FloatArray, first: int) -> list[Frame]:
        """Normalised motion of frames [first, ...) as it is emitted."""
        spec, statistics = self.backend.spec, self.backend.statistics
        raw = fresh * statistics.motion_std + statistics.motion_mean
        self._steady(raw)
        self._gaze.settle(raw)
        self._lids.settle(raw)
        if isinstance(self.backend, OnHead):
            raw = self.backend.emit(raw)
        return [
            Frame(sequence, sequence * spec.frame_samples, motion)
            for sequence, motion in enumerate(raw.astype(np.float32), first)
        ]

    def _steady(self, raw: FloatArray) -> None:
        """Let the head of new frames (n, D) move as a mass does, see `LiveDefaults`; in place."""
        inertia = self.backend.spec.live.head_inertia
        if not inertia:
            return
        for row in raw[:, self._rotation]:
            if self._shown is not None:
                row += inertia * (self._shown - row)
            self._shown = row.copy()

    def _window_features(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """Features of the window, (length, F), and of its context, (T_p, F)."""
        T_p, frame_samples = self.backend.spec.T_p, self.backend.spec.frame_samples
        if self._heard is not None:
            return self._heard[T_p:], self._heard[:T_p]
        assert self._features is not None, "a window is never empty"
        features = self._rows(self._features, window.start, window.end)
        padding = window.start + window.length - window.end
        if padding:
            silence = np.zeros(padding * frame_samples, np.float32)
            tail, _ = self.backend.encode(silence, self._speech)  # the state is not kept
            features = np.concatenate([features, tail])
        return features, self._rows(self._features, window.start - T_p, window.start)

    def _read(self, start: int, stop: int) -> FloatArray:
        """Audio of frames [start, stop)."""
        frame_samples = self.backend.spec.frame_samples
        return self._audio.read(start * frame_samples, stop * frame_samples)

    def _rows(self, rows: FloatArray, start: int, stop: int) -> FloatArray:
        """Frames [start, stop) of a store whose first row is frame `_past`."""
        return rows[start - self._past : stop - self._past]

    def _forget(self) -> None:
        """Drop what no later window can reach, so that memory does not grow."""
        spec = self.backend.spec
        reach = self.committed - spec.T_p
        if self.window_rule == "sliding":
            reach = min(reach, self.end - spec.T_w - spec.T_p)
        keep = max(0, reach - self._past)
        if keep:
            self._motion = self._motion[keep:].copy()
            if self._features is not None:
                self._features = self._features[keep:].copy()
            self._normal = self._normal[keep:].copy()
            self._past += keep
        self._audio.drop_before(self._encoded * spec.frame_samples)
