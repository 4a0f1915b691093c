"""What a model is, as plain data: every number of a bundle has its one home here.

Needs neither torch nor a file system, so that `stream/` and the commands can read a bundle's
configuration without loading a network.  Defaults are the official network's
(Sun et al. 2024, section 4.2 and the released code).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffposetalk import spec_json
from head.channels import ARTICULATION

FloatArray = NDArray[np.float32]
WindowRule = Literal["adjacent", "sliding"]
EncoderKind = Literal["mel", "hubert"]
ScheduleKind = Literal["cosine", "linear", "quadratic", "sigmoid"]
Target = Literal["sample", "noise"]
PadMode = Literal["zero", "replicate"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Normalisation, z = (raw - mean) / std: motion (D,), shape (n_shape,), float32."""

    motion_mean: FloatArray
    motion_std: FloatArray
    shape_mean: FloatArray
    shape_std: FloatArray


@dataclass(frozen=True)
class HubertSpec:
    """HuBERT's sizes beside its width, the base model's by default (Hsu et al. 2021, table 1)."""

    n_layers: int = 12
    n_heads: int = 12
    d_hidden: int = 3072
    d_conv: int = 512
    position_kernel: int = 128
    position_groups: int = 16


@dataclass(frozen=True)
class SpeechEncoderSpec:
    """Speech encoder: `hubert` (50 Hz, pair-averaged) or the strictly causal `mel`."""

    kind: EncoderKind = "hubert"
    d_out: int = 768
    hubert: HubertSpec = field(default_factory=HubertSpec)
    # `mel` only: feature k reads the `history_frames` motion frames of audio that end with frame k.
    n_mels: int = 80
    d_hidden: int = 192
    history_frames: int = 26
    # Speech is brought to one level before the encoder hears it (`stream.core.hearing.input_gain`).
    input_gain: bool = False


@dataclass(frozen=True)
class DenoiserSpec:
    """Transformer decoder of the paper's section 3.2.

    `guidance_input`: the network takes both guidance scales itself (a projection added to token 0),
    distilled as in Meng et al. 2023, so that one branch does what three did.  `past_mouth`: the
    context tells where the mouth was (`ModelSpec.articulated`).  A true one tells a network in
    training what is to come, as lips begin to close before a P, and live it is not there to tell;
    without it speech alone moves the mouth, which cannot stay shut because it was.
    """

    d_model: int = 512
    n_heads: int = 8
    n_layers: int = 8
    mlp_ratio: int = 4
    align_mask_width: int = 1
    use_indicator: bool = True
    learnable_pe: bool = True
    guidance_input: bool = False
    past_mouth: bool = True


@dataclass(frozen=True)
class StyleEncoderSpec:
    """Style encoder of section 3.3.1; `d_style` is its feature dimension."""

    d_style: int = 128
    n_heads: int = 4
    n_layers: int = 4
    mlp_ratio: int = 4

    def least_numbers(self) -> int:
        """How many weights its network has at least: those of attention and feed-forward."""
        return self.n_layers * (4 + 2 * self.mlp_ratio) * self.d_style**2


@dataclass(frozen=True)
class DiffusionSpec:
    """Forward process: `steps` training steps of `schedule`, predicting `target`."""

    steps: int = 500
    schedule: ScheduleKind = "cosine"
    target: Target = "sample"


@dataclass(frozen=True)
class LiveDefaults:
    """The one set of live settings that every quality, cost and latency figure names.

    `hop` and `lookahead` are frames, `steps` network calls per hop of a `sampler`
    (`diffposetalk.sampling.samplers.SAMPLERS`; exported graphs have DPM-Solver++ in them).

    The noises scale the initial noise by kind of channel (1 = as trained): `lip_noise` of what
    speech articulates, `head_noise` of the head's rotation, `face_noise` of lids, brows and gaze.
    Few steps pull towards the mean, so lips can be cooled to be certain and the rest warmed to
    stay alive.  The head's noise is smooth over `head_noise_frames` frames (1 = white): it sways.
    A shown head keeps a share `head_inertia` of where it was a frame ago: calls do not agree to the
    last tenth of a degree, and a head has mass.  Shown eyes jump and rest as those of people
    (`stream.core.shown.eyes`); of the model's own gaze a look down that lasts over
    `gaze_time_constant_frames` stays (0 = the eyes are the model's, and nothing is laid over the
    face in silence).  A shown face that has stared for about `max_blink_interval_frames` blinks,
    and not again within a quarter of it (0 = when the model says), see `stream.core.shown.blinks`.
    What the model goes on from is its own motion.
    """

    hop: int = 10
    lookahead: int = 2
    steps: int = 4
    window_rule: WindowRule = "sliding"
    audio_guidance: float = 1.15
    style_guidance: float = 3.0
    threshold_quantile: float | None = None
    lip_noise: float = 1.0
    head_noise: float = 1.0
    face_noise: float = 1.0
    head_noise_frames: int = 1
    head_inertia: float = 0.0
    sampler: str = "dpm++"
    gaze_time_constant_frames: float = 0.0
    max_blink_interval_frames: float = 0.0


@dataclass(frozen=True)
class ModelSpec:
    """A whole model: shapes of every tensor follow from it.

    `T_w` window frames, `T_p` context frames, motion = `n_expression` + 3 head rotation (if
    `head_rotation`) + 1 jaw channel, all normalised by the bundle's statistics.  `pad_mode` says
    what follows the speech's end in training: silence, or its last sample again and again.
    """

    sample_rate_hz: int = 16_000
    fps: int = 25
    T_w: int = 100
    T_p: int = 10
    n_expression: int = 50
    head_rotation: bool = True
    n_shape: int = 100
    use_style: bool = True
    pad_mode: PadMode = "zero"
    speech: SpeechEncoderSpec = field(default_factory=SpeechEncoderSpec)
    denoiser: DenoiserSpec = field(default_factory=DenoiserSpec)
    style: StyleEncoderSpec = field(default_factory=StyleEncoderSpec)
    diffusion: DiffusionSpec = field(default_factory=DiffusionSpec)
    live: LiveDefaults = field(default_factory=LiveDefaults)

    @property
    def frame_samples(self) -> int:
        """Audio samples per motion frame (640)."""
        return self.sample_rate_hz // self.fps

    @property
    def d_motion(self) -> int:
        """Channels of a motion vector: 54 with head rotation, else 51."""
        return self.n_expression + (3 if self.head_rotation else 0) + 1

    @property
    def articulated(self) -> tuple[int, ...]:
        """Channels of a motion vector that speech articulates: mouth, tongue and jaw."""
        return (*ARTICULATION, self.d_motion - 1)

    @property
    def d_person(self) -> int:
        """Width of the person vector: shape, then style."""
        return self.n_shape + (self.style.d_style if self.use_style else 0)

    def least_numbers(self) -> int:
        """How many weights the network has at least, so that a file can be asked before memory."""
        d, speech, hubert = self.denoiser.d_model, self.speech, self.speech.hubert
        layers = self.denoiser.n_layers * (8 + 2 * self.denoiser.mlp_ratio) + 2
        ends = d * (self.d_person + 2 * self.d_motion + speech.d_out)
        if speech.kind == "hubert":
            block = 4 * speech.d_out**2 + 2 * speech.d_out * hubert.d_hidden
            heard = hubert.n_layers * block + hubert.d_conv * (16 * hubert.d_conv + speech.d_out)
        else:
            heard = speech.d_hidden * (5 * speech.n_mels + 5 * speech.d_hidden + speech.d_out)
        return layers * d**2 + ends + heard

    def to_json(self) -> str:
        """Serialise with sorted keys, so that equal specs are equal bytes."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> ModelSpec:
        """Parse what `to_json` wrote.

        Raises:
            SpecError: not JSON, an unknown key, a key under its former name and today's, or a value
                of the wrong type.
        """
        spec = spec_json.build(ModelSpec, text)
        assert isinstance(spec, ModelSpec)
        return spec
