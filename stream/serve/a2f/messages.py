"""NVIDIA's protobuf messages: read into plain values, and made from them.

The only file that imports their packages (`nvidia-audio2face-3d`, `nvidia-ace`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia_ace import animation_pb2, audio_pb2, status_pb2
from nvidia_audio2face_3d import audio2face_pb2_grpc, messages_pb2

from head.errors import WrongValue
from stream.serve.a2f.clip import format_fault
from stream.serve.a2f.emotions import EmotionMix, emotion_fault
from stream.serve.a2f.shaping import NAMES, Shape, read_shape

Floats = NDArray[np.float32]

ServicerBase: type[Any] = audio2face_pb2_grpc.A2FControllerServiceServicer
add_to_server: Any = audio2face_pb2_grpc.add_A2FControllerServiceServicer_to_server
DEFAULT_CONTRAST, DEFAULT_BLEND = 1.0, 0.7


@dataclass(frozen=True)
class Header:
    """What a client says before its sound.

    Attributes:
        rate, channels: of the samples that follow.
        shape: what is done to the weights.
        mix: how emotions count.
        beginning: the emotions of the first frame.
        ignored: names of parameters that mean nothing here.
    """

    rate: int
    channels: int
    shape: Shape
    mix: EmotionMix
    beginning: Mapping[str, float] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def read_header(header: Any) -> Header:
    """An `AudioWithEmotionStreamHeader` as plain values.

    Raises:
        ValueError: what cannot be; one sentence for the client.
    """
    audio = header.audio_header
    is_pcm = audio.audio_format == audio_pb2.AudioHeader.AUDIO_FORMAT_PCM
    rate, channels = audio.samples_per_second, audio.channel_count
    fault = format_fault(is_pcm, rate, channels, audio.bits_per_sample)
    beginning = dict(header.emotion_params.beginning_emotion)
    fault = fault or emotion_fault(beginning)
    if fault is not None:
        raise WrongValue(fault)
    shapes, face = header.blendshape_params, header.face_params
    shape, ignored = read_shape(
        face.float_params,
        shapes.bs_weight_multipliers,
        shapes.bs_weight_offsets,
        shapes.enable_clamping_bs_weight,
    )
    ignored += [*sorted(face.integer_params), *sorted(face.float_array_params)]
    mix, more = _read_mix(header.emotion_post_processing_params)
    if header.emotion_params.HasField("live_transition_time"):
        more.append("live_transition_time")
    return Header(rate, channels, shape, mix, beginning, (*ignored, *more))


def _read_mix(given: Any) -> tuple[EmotionMix, list[str]]:
    """How emotions count, and what of it means nothing here."""

    def value(name: str, default: Any) -> Any:
        return getattr(given, name) if given.HasField(name) else default

    usual = EmotionMix()
    strength = value("emotion_strength", usual.strength)
    preferred = value("preferred_emotion_strength", usual.preferred)
    if not (0.0 <= strength <= 1.0 and 0.0 <= preferred <= 1.0):
        raise WrongValue("emotion_strength and preferred_emotion_strength are 0 to 1")
    if not value("enable_preferred_emotion", True):
        preferred = None
    ignored = []
    if abs(value("emotion_contrast", DEFAULT_CONTRAST) - DEFAULT_CONTRAST) > 1e-6:
        ignored.append("emotion_contrast")
    if abs(value("live_blend_coef", DEFAULT_BLEND) - DEFAULT_BLEND) > 1e-6:
        ignored.append("live_blend_coef")
    return EmotionMix(strength, preferred, value("max_emotions", usual.most)), ignored


def read_emotions(audio: Any) -> list[tuple[float, dict[str, float]]]:
    """Emotions that came with sound: (seconds of the clip, strengths by name).

    Raises:
        ValueError: strengths or moments that cannot be; one sentence.
    """
    found = [(float(each.time_code), dict(each.emotion)) for each in audio.emotions]
    for seconds, emotions in found:
        fault = emotion_fault(emotions)
        if fault is None and not 0.0 <= seconds < 1e6:
            fault = "the time codes of emotions are seconds from the clip's beginning"
        if fault is not None:
            raise WrongValue(fault)
    return found


def header_message(rate: int, channels: int, epoch_seconds: float) -> Any:
    """The first answer: the names of the shapes, and the format of the sound that comes back."""
    header = messages_pb2.A2F3DAnimationDataStreamHeader(
        audio_header=audio_pb2.AudioHeader(
            audio_format=audio_pb2.AudioHeader.AUDIO_FORMAT_PCM,
            channel_count=channels,
            samples_per_second=rate,
            bits_per_sample=16,
        ),
        skel_animation_header=animation_pb2.SkelAnimationHeader(blend_shapes=NAMES),
        start_time_code_since_epoch=epoch_seconds,
    )
    return messages_pb2.A2F3DAnimationDataStream(animation_data_stream_header=header)


def frame_message(seconds: float, weights: Floats, sound: bytes) -> Any:
    """One frame: its weights (52,), and the sound that it belongs to, at the same time code."""
    data = animation_pb2.AnimationData(
        skel_animation=animation_pb2.SkelAnimation(
            blend_shape_weights=[
                animation_pb2.FloatArrayWithTimeCode(time_code=seconds, values=weights.tolist())
            ]
        ),
        audio=animation_pb2.AudioWithTimeCode(time_code=seconds, audio_buffer=sound),
    )
    return messages_pb2.A2F3DAnimationDataStream(animation_data=data)


def end_message() -> Any:
    """The event that says that all frames were sent."""
    kind = messages_pb2.END_OF_A2F_AUDIO_PROCESSING
    return messages_pb2.A2F3DAnimationDataStream(event=messages_pb2.Event(event_type=kind))


def status_message(code: str, sentence: str) -> Any:
    """A status: SUCCESS, INFO, WARNING or ERROR, and a sentence."""
    number = status_pb2.Status.Code.Value(code)
    status = status_pb2.Status(code=number, message=sentence)
    return messages_pb2.A2F3DAnimationDataStream(status=status)
