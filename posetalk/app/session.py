"""The streaming session as a one-line constructor, for programs that bring their own audio."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posetalk.app.opening import load_model
from posetalk.app.settings.model import ModelSettings
from stream.backends.names import BackendName, Precision
from stream.core.conditions import NATURAL
from stream.core.session import Session as StreamSession
from stream.frames import Frame
from stream.run.presets import PresetName
from stream.sources.pcm import to_float

FloatArray = NDArray[np.float32]


class Session(StreamSession):
    """One speaker's stream: feed blocks of sound, get the frames that they complete.

        import numpy as np, posetalk
        from head.skinning import motion_to_parameters, skin

        session, head = posetalk.Session(style=None, seed=0), posetalk.builtin_head()
        for second in range(3):
            block = np.zeros(16000, np.float32)      # your sound: mono, 16 kHz, any block size
            for frame in session.feed(block):        # frames of 40 ms; frame.sample is its time
                expression, rotation, jaw = motion_to_parameters(frame.motion)
                vertices = skin(head, expression, global_rotation=rotation, jaw_pose=jaw)
        rest = session.finish()                      # the frames still held back
        session.reset()                              # ready for the next utterance

    `feed` returns the same frames whatever the sizes of the blocks. A session belongs to one
    thread at a time.

    Args:
        bundle: `starter`, or the folder of another bundle.
        style: a name, a mix such as 'calm*0.7+lively*0.3', a style file, or a vector; the bundle's
            first if None.
        shape: (100,) identity; the bundle's mean if None.
        preset: `fast` speaks a frame (40 ms) sooner than the default, `careful` three later,
            having heard more; what is set below comes before it.
        steps, hop, lookahead: network calls per hop, frames per hop, frames of lookahead; the
            bundle's live defaults if None.
        gaze: where the eyes look: from 0, at who watches, to 1, as those of people, who look away.
        still: head, eyes and brows rest, while lips speak and lids blink.
        seed: the same seed, sound and settings give the same motion.
        backend: `auto` (the best that is installed), `onnxruntime`, `torch`, or `fake`
            (no model: the jaw follows the loudness).
        precision: of torch's matrix products, `fp32`, `bf16` or `fp16`; `auto` then means torch.

    Raises:
        ValueError: a setting, style or bundle that cannot be used; the message is one line.
    """

    def __init__(
        self,
        *,
        bundle: str = "starter",
        style: str | FloatArray | None = None,
        shape: FloatArray | None = None,
        preset: PresetName = "default",
        steps: int | None = None,
        hop: int | None = None,
        lookahead: int | None = None,
        gaze: float = NATURAL,
        still: bool = False,
        seed: int = 0,
        backend: BackendName = "auto",
        precision: Precision | None = None,
    ) -> None:
        settings = ModelSettings(
            bundle=bundle,
            style=style if isinstance(style, str) else None,
            preset=preset,
            steps=steps,
            hop=hop,
            lookahead=lookahead,
            backend=backend,
            precision=precision,
        )
        model, _ = load_model(settings)
        options = replace(settings.live_options(), gaze=gaze, still=still)
        super().__init__(model, options=options, shape=shape, style=style, seed=seed)

    def feed(self, block: ArrayLike) -> list[Frame]:
        """Take a block of sound and return every frame that it completes.

        Args:
            block: (n,) mono samples at 16 kHz, as many as you have: floats in [-1, 1], or integers
                of 8, 16 or 32 bits, which are scaled by their type.

        Raises:
            ValueError: no such array, or floats beyond 4, which are on another scale.
        """
        return super().feed(to_float(block))
