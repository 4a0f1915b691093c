"""The arguments that a released checkpoint was trained with, as a model's specification.

Names have changed over the code's life, and released files may hold either; what a file does not
say is not guessed but asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar, get_args

from diffposetalk.importing.archive import CheckpointError
from diffposetalk.spec import (
    DenoiserSpec,
    DiffusionSpec,
    LiveDefaults,
    ModelSpec,
    PadMode,
    ScheduleKind,
    SpeechEncoderSpec,
    StyleEncoderSpec,
    Target,
)

N_SHAPE, N_EXPRESSION = 100, 50
LARGEST = {"n_layers": 100, "n_heads": 256, "mlp_ratio": 64}
"""Beyond these a file is not believed, whatever else it holds."""
HEAD_THRESHOLD = 0.99
"""Dynamic thresholding that the released code recommends for models with head motion."""
_SCHEDULES: tuple[ScheduleKind, ...] = get_args(ScheduleKind)

Word = TypeVar("Word", bound=str)


class Arguments:
    """A checkpoint's namespace under the present names.

    Args:
        content: the checkpoint's value under `args`.
        source: the file, for messages.
        given: what the user adds where the file says nothing.

    Raises:
        CheckpointError: no namespace, or `given` contradicts it.
    """

    def __init__(self, content: Any, source: str, given: Mapping[str, str]) -> None:
        if not isinstance(content, argparse.Namespace):
            raise CheckpointError(f"{source} holds no `args`: it is no checkpoint of DiffPoseTalk")
        self.source = source
        self._values = dict(vars(content))
        for old, new, meaning in _OLD_NAMES:
            if new not in self._values and old in self._values:
                self._values[new] = meaning(self._values[old])
        for name, text in given.items():
            value = _parse(text)
            if name in self._values and self._values[name] != value:
                raise CheckpointError(
                    f"{source} says {name} = {_show(self._values[name])}, not {text}"
                )
            self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def whole(self, name: str) -> int:
        """A number that must be there, from 1 to `LARGEST`.

        Raises:
            CheckpointError: it is not.
        """
        value = self.need(name)
        if type(value) is not int or not 1 <= value <= LARGEST.get(name, 1 << 14):
            raise CheckpointError(f"{self.source}: {name} = {_show(value)} is no size")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A switch; `default` where the file has none."""
        value = self._values.get(name, default)
        if value is None:
            value = self.need(name)
        if not isinstance(value, bool | int):
            raise CheckpointError(f"{self.source}: {name} = {_show(value)} is no switch")
        return bool(value)

    def choice(self, name: str, allowed: tuple[Word, ...], why: str = "") -> Word:
        """One of several words.

        Raises:
            CheckpointError: another one, with `why` that cannot be used.
        """
        value = self.need(name)
        if value not in allowed:
            reason = why or f"posetalk runs {' and '.join(allowed)} only"
            raise CheckpointError(f"{self.source}: {name} = {_show(value)}; {reason}")
        return allowed[allowed.index(value)]

    def path(self, name: str) -> PurePath | None:
        """A path, or None where there is none."""
        value = self._values.get(name)
        if isinstance(value, str) and value:
            return PurePath(value.replace("\\", "/"))
        return value if isinstance(value, PurePath) else None

    def get(self, name: str) -> Any:
        """Whatever the file says, or None."""
        return self._values.get(name)

    def described(self) -> dict[str, Any]:
        """Everything as plain values, for the bundle's provenance."""
        return {
            name: value if isinstance(value, bool | int | float | None) else _show(value)
            for name, value in sorted(self._values.items())
        }

    def need(self, name: str) -> Any:
        value = self._values.get(name)
        if value is None:
            raise CheckpointError(
                f"{self.source} does not say its {name}: add --set {name}=VALUE if you know it"
            )
        return value


def model_spec(arguments: Arguments, speech: SpeechEncoderSpec | None = None) -> ModelSpec:
    """The denoiser's specification, but the style encoder's, which is another file's.

    Args:
        arguments: of the denoiser's checkpoint.
        speech: its HuBERT; the base model if None.

    Raises:
        CheckpointError: a variant that posetalk does not run, or a size that is missing.
    """
    arguments.choice("rot_repr", ("aa",))
    arguments.choice("architecture", ("decoder",))
    arguments.choice(
        "audio_model",
        ("hubert",),
        "posetalk runs the HuBERT models only, and never hears through another encoder",
    )
    if arguments.whole("fps") != ModelSpec.fps:
        raise CheckpointError(f"{arguments.source} was trained at other than 25 frames per second")
    target: Target = arguments.choice("target", ("sample", "noise"))
    pad_mode: PadMode = arguments.choice("pad_mode", ("zero", "replicate"))
    schedule = arguments.choice("diff_schedule", _SCHEDULES)
    use_style = arguments.get("style_enc_ckpt") is not None
    _check_guidance(arguments, use_style)
    head_rotation = not arguments.flag("no_head_pose")
    window = arguments.whole("n_motions")
    if window < 3:
        raise CheckpointError(f"{arguments.source}: a window of {window} frames is no window")
    style = StyleEncoderSpec(d_style=arguments.whole("d_style")) if use_style else None
    return ModelSpec(
        T_w=window,
        T_p=arguments.whole("n_prev_motions"),
        n_expression=N_EXPRESSION,
        head_rotation=head_rotation,
        n_shape=N_SHAPE,
        use_style=use_style,
        pad_mode=pad_mode,
        speech=speech or SpeechEncoderSpec(),
        denoiser=DenoiserSpec(
            d_model=arguments.whole("feature_dim"),
            n_heads=arguments.whole("n_heads"),
            n_layers=arguments.whole("n_layers"),
            mlp_ratio=arguments.whole("mlp_ratio"),
            align_mask_width=max(0, _width(arguments)),
            use_indicator=arguments.flag("use_indicator", default=False),
            learnable_pe=not arguments.flag("no_use_learnable_pe", default=False),
        ),
        style=style or StyleEncoderSpec(),
        diffusion=DiffusionSpec(
            steps=arguments.whole("n_diff_steps"), schedule=schedule, target=target
        ),
        live=LiveDefaults(
            hop=min(10, window - 2),
            lookahead=2,
            steps=4,
            window_rule="sliding",
            audio_guidance=1.15,
            style_guidance=3.0 if use_style else 1.0,
            threshold_quantile=HEAD_THRESHOLD if head_rotation and target == "sample" else None,
        ),
    )


def style_spec(arguments: Arguments) -> StyleEncoderSpec:
    """The style encoder's specification.

    Raises:
        CheckpointError: a size that is missing, or another rotation.
    """
    arguments.choice("rot_repr", ("aa",))
    return StyleEncoderSpec(
        d_style=arguments.whole("feature_dim"),
        n_heads=arguments.whole("n_heads"),
        n_layers=arguments.whole("n_layers"),
        mlp_ratio=arguments.whole("mlp_ratio"),
    )


def _check_guidance(arguments: Arguments, use_style: bool) -> None:
    """Guided conditions must have learned nulls, and the order of guidance must be ours."""
    text = str(arguments.need("guiding_conditions"))[:80]
    guided = {word.strip() for word in text.split(",") if word.strip()}
    wanted = {"audio", "style"} if use_style else {"audio"}
    if not wanted <= guided <= {"audio", "style"}:
        raise CheckpointError(
            f"{arguments.source}: guiding_conditions = {text!r}; "
            f"posetalk needs a model that was trained with {','.join(sorted(wanted))}"
        )
    arguments.choice(
        "cfg_mode", ("incremental",), "posetalk guides audio first, then style ('incremental')"
    )


def _width(arguments: Arguments) -> int:
    value = arguments.get("align_mask_width")
    if value is None:
        return 0  # as the released code reads a file that says nothing; the tensors must agree
    if type(value) is not int or value >= 1 << 20:
        raise CheckpointError(f"{arguments.source}: align_mask_width = {_show(value)} is no width")
    return value


_OLD_NAMES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("use_alignment_mask", "align_mask_width", lambda on: 1 if on else 0),
    ("predict_head_pose", "no_head_pose", lambda on: not on),
    ("use_learnable_pe", "no_use_learnable_pe", lambda on: not on),
)


def _parse(text: str) -> Any:
    """A value from the command line: a number, a switch, or a word."""
    known = {"true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else text


def _show(value: Any) -> str:
    """A short description of what a stranger's file says."""
    if isinstance(value, bool | int | float | str | PurePath | None):
        return repr(str(value)[:80]) if isinstance(value, str | PurePath) else str(value)[:80]
    return f"a {type(value).__name__}"
