"""How a session hears: features once for each frame, or anew for every window.

The network's speech encoder decides.  A causal one (`mel`) gives each frame its features when its
sound is there; HuBERT looks at a window whole, normalised by the level so far.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol, Self

import numpy as np

from stream.backends.protocol import Backend, FloatArray, SpeechCall, SpeechState
from stream.core.hearing.input_gain import InputGain
from stream.core.level_normaliser import RunningLevel
from stream.core.timeline import Timeline
from stream.core.windows import Window

PAUSE_FRAMES = 20
"""Who was silent for less still speaks: 0.8 s."""


def speaks(gain: InputGain) -> Any:
    """(...) whether there was speech of late in each stream."""
    return gain.level.since < PAUSE_FRAMES


class FrontEnd(Protocol):
    """What is remembered of the speech of one stream.

    Attributes:
        encoded: frames before it have been taken from the audio.
    """

    encoded: int

    @property
    def speaking(self) -> bool:
        """Whether there was speech of late; always where nothing tells speech apart."""
        ...

    def begin(self, audio: Timeline, window: Window) -> SpeechCall | None:
        """What to encode for this window; None where all of it has been."""
        ...

    def set_features(self, window: Window, features: FloatArray, state: SpeechState) -> None:
        """The features (n, F) of what `begin` returned, and the encoder's state after it."""
        ...

    def features(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """Features of the window, (length, F), and of the T_p frames before it, (T_p, F)."""
        ...

    def forget(self, past: int) -> None:
        """No later window reaches back before frame `past`."""
        ...

    def begin_anew(self, encoded: int, length: int) -> None:
        """Remember silence in the `length` frames before frame `encoded`, and go on from there."""
        ...

    def copy(self) -> FrontEnd:
        """The same memory, which goes its own way from here."""
        ...


def open_front_end(backend: Backend) -> FrontEnd:
    """The front end that a backend's speech encoder wants, as of a stream's start."""
    return CausalFrontEnd(backend) if backend.incremental else WindowFrontEnd(backend)


class CausalFrontEnd:
    """Features that are causal and final, each computed once.

    Attributes:
        state: of the encoder after frame `encoded`.
        rows: (n, F) features of frames [past, encoded); None before the first.
        gain: at the encoder's input after frame `encoded`; None for a model without.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.encoded, self.past = 0, -backend.spec.T_p
        self.state: SpeechState = backend.speech_state()
        self.rows: FloatArray | None = None
        self.gain = InputGain() if backend.spec.speech.input_gain else None
        self._gain_ahead = self.gain  # after what has been begun

    @property
    def speaking(self) -> bool:
        return self.gain is None or bool(speaks(self.gain))

    def begin(self, audio: Timeline, window: Window) -> SpeechCall | None:
        if window.end <= self.encoded:
            return None
        n = self._backend.spec.frame_samples
        pcm = audio.read(self.encoded * n, window.end * n)
        return SpeechCall(self.at_one_level(pcm), self.state)

    def at_one_level(self, pcm: FloatArray) -> FloatArray:
        """The samples of whole frames from `encoded` on as the encoder hears them."""
        if self.gain is None:
            return pcm
        # A call that is begun anew begins with the same gain: what was heard counts when kept.
        self._gain_ahead = self.gain.copy()
        frames = pcm.reshape(-1, self._backend.spec.frame_samples)
        return self._gain_ahead.apply(frames).reshape(-1)

    def set_features(self, window: Window, features: FloatArray, state: SpeechState) -> None:
        self.keep(features, state, window.end)

    def keep_gain(self) -> None:
        """What was heard at last counts: its frames are encoded."""
        self.gain = self._gain_ahead

    def keep(self, features: FloatArray, state: SpeechState, end: int) -> None:
        """Features (n, F) of frames [encoded, end), and the encoder's state after them."""
        if self.rows is None:
            self.rows = np.zeros((self._backend.spec.T_p, features.shape[1]), np.float32)
        self.rows = np.concatenate([self.rows, features])
        self.state, self.encoded = state, end
        self.keep_gain()

    def features(self, window: Window) -> tuple[FloatArray, FloatArray]:
        assert self.rows is not None, "a window is never empty"
        spec, at = self._backend.spec, window.start - self.past
        features = self.rows[at : window.end - self.past]
        padding = window.start + window.length - window.end
        if padding:
            silence = np.zeros(padding * spec.frame_samples, np.float32)
            tail, _ = self._backend.encode(silence, self.state)  # the state is not kept
            features = np.concatenate([features, tail])
        return features, self.rows[at - spec.T_p : at]

    def forget(self, past: int) -> None:
        keep = max(0, past - self.past)
        if keep and self.rows is not None:
            self.rows = self.rows[keep:].copy()
        self.past += keep

    def begin_anew(self, encoded: int, length: int) -> None:
        if self.rows is not None:
            self.rows = np.zeros((length, self.rows.shape[1]), np.float32)
            self.past = encoded - length
        self.state, self.encoded = self._backend.speech_state(), encoded

    def copy(self) -> Self:
        return copy.copy(self)  # rows and states are replaced, never written into


class WindowFrontEnd:
    """Features of whole windows, from normalised sound; none outlasts its window.

    Attributes:
        rows: (n, samples of a frame) normalised sound of frames [past, encoded).
        level: of the speech so far.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        spec = backend.spec
        self.encoded, self.past = 0, -spec.T_p
        self.rows = np.zeros((spec.T_p, spec.frame_samples), np.float32)
        self.level = RunningLevel()
        self._heard: FloatArray | None = None  # features of the window that has begun

    @property
    def speaking(self) -> bool:
        return True

    def begin(self, audio: Timeline, window: Window) -> SpeechCall | None:
        self.normalise_until(audio, window.end)
        spec = self._backend.spec
        pcm = np.zeros((spec.T_p + window.length, spec.frame_samples), np.float32)
        heard = self.rows[window.start - spec.T_p - self.past : window.end - self.past]
        pcm[: len(heard)] = heard
        return SpeechCall(pcm.reshape(-1), None)

    def normalise_until(self, audio: Timeline, end: int) -> None:
        """Take the sound of all frames before `end` in."""
        if end > self.encoded:
            n = self._backend.spec.frame_samples
            fresh = audio.read(self.encoded * n, end * n).reshape(-1, n)
            self.rows = np.concatenate([self.rows, self.level.apply(fresh)])
            self.encoded = end

    def set_features(self, window: Window, features: FloatArray, state: SpeechState) -> None:
        self._heard = features

    def features(self, window: Window) -> tuple[FloatArray, FloatArray]:
        assert self._heard is not None, "set_features() comes first"
        T_p = self._backend.spec.T_p
        return self._heard[T_p:], self._heard[:T_p]

    def forget(self, past: int) -> None:
        keep = max(0, past - self.past)
        self.rows = self.rows[keep:].copy() if keep else self.rows
        self.past += keep
        self._heard = None

    def begin_anew(self, encoded: int, length: int) -> None:
        self.rows = np.zeros((length, self.rows.shape[1]), np.float32)
        self.past, self.encoded, self._heard = encoded - length, encoded, None

    def copy(self) -> Self:
        other = copy.copy(self)
        other.level = copy.copy(self.level)
        return other
