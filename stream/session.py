"""One speaker's stream: blocks of audio in, finished frames out.

No I/O, no threads, no clock.  `feed` calls the model at e = R + n H whatever the blocks were, so
any block sizes give the same frames, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffposetalk.spec import WindowRule
from head.channels import ARTICULATION
from stream.backends.protocol import Backend, FloatArray, SamplerCall
from stream.frames import Frame
from stream.noise import swaying_noise
from stream.timeline import Timeline
from stream.windows import Window, plan


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


class Session:
    """The streaming state of one speaker (audio, features, committed motion), and nothing else.

    Args:
        backend: the model; it holds no state.
        options: live settings.
        shape: (n_shape,) raw identity, default the statistics' mean.
        style: a named style of the bundle, or a (d_style,) vector; default the first named one.
        seed: of the noise.

    Attributes:
        shape: (n_shape,) raw identity that it animates.

    Raises:
        ValueError: settings that the window cannot hold, an unknown style, or a shape or style of
            another size.
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
        self.audio_guidance = (
            live.audio_guidance if wish.audio_guidance is None else wish.audio_guidance
        )
        self.style_guidance = (
            live.style_guidance if wish.style_guidance is None else wish.style_guidance
        )
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
        self.shape = raw_shape.copy()
        self._shape = (raw_shape - statistics.shape_mean) / statistics.shape_std
        self.set_style(style)
        self.reset()

    def set_style(self, style: str | FloatArray | None) -> None:
        """Speak in this style from the next call on.

        Raises:
            ValueError: an unknown name, or a vector of another size; the style stays as it is.
        """
        styles = self.backend.styles
        if style is None:
            style = next(iter(styles))
        if isinstance(style, str):
            if style not in styles:
                raise ValueError(f"no style {style!r}: this bundle has {', '.join(styles)}")
            self.style_name, self._style = style, styles[style]
        else:
            spec, vector = self.backend.spec, np.asarray(style, np.float32)
            size = spec.style.d_style if spec.use_style else 0
            if vector.shape != (size,):
                raise ValueError(f"a style is ({size},), got {vector.shape}")
            self.style_name, self._style = "custom", vector

    def reset(self) -> None:
        """Forget everything: the next block is sample 0."""
        spec = self.backend.spec
        self._audio = Timeline()
        self._speech = self.backend.speech_state()
        # Rows hold frames [_past, ...): features up to what was encoded, motion up to `committed`.
        self._past = -spec.T_p
        self._features: FloatArray | None = None
        self._motion = np.zeros((spec.T_p, spec.d_motion), np.float32)
        self._encoded = 0
        self.committed = 0
        self.end = 0

    @property
    def pending_hops(self) -> int:
        """Hops whose audio has all arrived and that no call has covered yet."""
        arrived = self._audio.end // self.backend.spec.frame_samples
        return max(0, (arrived - max(self.end, self.lookahead)) // self.hop)

    @property
    def most_hops(self) -> int:
        """Hops that one call may merge: as many as the window holds."""
        return (self.backend.spec.T_w - self.lookahead) // self.hop

    def append(self, block: FloatArray) -> None:
        """Take a block, (n,) mono samples in [-1, 1] at 16 kHz, without calling the model."""
        self._audio.append(block)

    def step(self, hops: int = 1) -> list[Frame]:
        """One model call over the next `hops` hops, all of whose audio has arrived.

        Only a live loop that is late merges (`hops` > 1): the frames then differ from the
        unmerged ones, as a longer window is sampled; latency grows, no frame is lost.
        """
        assert 1 <= hops <= min(self.pending_hops, self.most_hops), "the caller checks pending_hops"
        return self._call(max(self.end, self.lookahead) + hops * self.hop, self.lookahead)

    def feed(self, block: FloatArray) -> list[Frame]:
        """Take a block and return every frame that it completes."""
        self.append(block)
        frames: list[Frame] = []
        while self.pending_hops:
            frames += self.step()
        return frames

    def finish(self) -> list[Frame]:
        """The audio is over: the frames still held back (R = 0 at e = floor(samples / 640))."""
        frames: list[Frame] = []
        while self.pending_hops:
            frames += self.step()
        total = self._audio.end // self.backend.spec.frame_samples
        self._audio.close()
        if total > self.committed:
            frames += self._call(total, 0)
        return frames

    def _call(self, end: int, lookahead: int) -> list[Frame]:
        """Run the model at `end`, commit and return frames [committed, end - lookahead)."""
        spec, statistics = self.backend.spec, self.backend.statistics
        window = plan(self.window_rule, self.committed, end, lookahead, spec.T_w, spec.T_p)
        features, context_features = self._encode(window)
        x = self.backend.sample(
            SamplerCall(
                features=features,
                context_features=context_features,
                context_motion=self._rows(self._motion, window.start - spec.T_p, window.start),
                missing=window.missing,
                noise=swaying_noise(
                    self.seed, window.start, window.start + window.length, spec.d_motion,
                    slow=self._rotation, frames=spec.live.head_noise_frames,
                ),
                noise_scale=self._noise_scale,
                known=self._rows(self._motion, window.start, window.committed),
                valid=window.end - window.start,
                shape=self._shape,
                style=self._style,
                steps=self.steps,
                audio_guidance=self.audio_guidance,
                style_guidance=self.style_guidance,
                threshold_quantile=spec.live.threshold_quantile,
            )
        )
        fresh = x[window.committed - window.start : window.emit_end - window.start]
        self._motion = np.concatenate([self._motion, fresh])
        raw = fresh * statistics.motion_std + statistics.motion_mean
        frames = [
            Frame(sequence, sequence * spec.frame_samples, motion)
            for sequence, motion in enumerate(raw.astype(np.float32), window.committed)
        ]
        self.committed, self.end = window.emit_end, end
        self._forget()
        return frames

    def _encode(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """Features of the window, (length, F), and of its context, (T_p, F)."""
        spec = self.backend.spec
        first = window.start - spec.T_p
        if not self.backend.incremental:
            pcm = np.zeros((spec.T_p + window.length) * spec.frame_samples, np.float32)
            heard = self._audio.read(first * spec.frame_samples, window.end * spec.frame_samples)
            pcm[: len(heard)] = heard
            both = self.backend.encode_window(pcm)
            return both[spec.T_p :], both[: spec.T_p]
        if window.end > self._encoded:
            pcm = self._audio.read(
                self._encoded * spec.frame_samples, window.end * spec.frame_samples
            )
            fresh, self._speech = self.backend.encode(pcm, self._speech)
            if self._features is None:
                self._features = np.zeros((spec.T_p, fresh.shape[1]), np.float32)
            self._features = np.concatenate([self._features, fresh])
            self._encoded = window.end
        assert self._features is not None, "a window is never empty"
        features = self._rows(self._features, window.start, window.end)
        padding = window.start + window.length - window.end
        if padding:
            silence = np.zeros(padding * spec.frame_samples, np.float32)
            tail, _ = self.backend.encode(silence, self._speech)  # the state is not kept
            features = np.concatenate([features, tail])
        return features, self._rows(self._features, first, window.start)

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
            self._past += keep
        audio_from = self._encoded if self.backend.incremental else self._past
        self._audio.drop_before(audio_from * spec.frame_samples)
