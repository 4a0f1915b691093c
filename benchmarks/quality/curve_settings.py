"""The settings at which curves are measured: one thing varies, all else is as the bundle lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from diffposetalk.spec import WindowRule

ALL_STEPS = "paper mode, ancestral"
CURVES = ("modes", "steps", "lookahead", "hop", "context", "rule", "guidance")


@dataclass(frozen=True)
class CurveSetting:
    """Everything that decides how a bundle is sampled.

    Attributes:
        hop, lookahead, steps, window_rule, audio_guidance, style_guidance: as `LiveDefaults`.
        context: real frames of context, at most T_p.
        sampler: `live`, or paper mode's `dpm++` or `ancestral` (all trained steps), which take
            whole windows and white noise; hop, lookahead and context mean nothing to them.
    """

    hop: int
    lookahead: int
    steps: int
    window_rule: WindowRule
    audio_guidance: float
    style_guidance: float
    context: int
    sampler: Literal["live", "dpm++", "ancestral"] = "live"

    @property
    def key(self) -> str:
        """The same for equal settings."""
        scales = f"a{self.audio_guidance:g} s{self.style_guidance:g}"
        if self.sampler != "live":
            return f"paper {self.sampler} K{self.steps} {scales}"
        windows = f"H{self.hop} R{self.lookahead} {self.window_rule} T{self.context}"
        return f"live K{self.steps} {windows} {scales}"


def base_of(live: Mapping[str, Any], T_p: int) -> CurveSetting:
    """A bundle's live defaults as a setting."""
    names = ("hop", "lookahead", "steps", "window_rule", "audio_guidance", "style_guidance")
    return CurveSetting(**{name: live[name] for name in names}, context=T_p)


def curve_settings(
    base: CurveSetting, T_p: int, T_w: int, steps: int = 500
) -> dict[str, list[tuple[str, CurveSetting]]]:
    """Every curve: what is on its axis and the setting there; all else is as in `base`.

    Args:
        steps: of the trained diffusion.
    """

    def along(name: str, values: Sequence[Any]) -> list[tuple[str, CurveSetting]]:
        return [(f"{value:g}", replace(base, **{name: value})) for value in sorted(set(values))]

    paper = replace(base, hop=T_w, lookahead=0, window_rule="adjacent", context=T_p)
    fits = T_w - base.hop
    return {
        "steps": along("steps", (1, 2, 3, 4, 6, 8, 10, 20, base.steps)),
        "lookahead": along(
            "lookahead", [r for r in (0, 1, 2, 3, 4, 6, 8, 10, base.lookahead) if r <= fits]
        ),
        "hop": along(
            "hop", [h for h in (1, 2, 3, 5, 10, 15, 25, base.hop) if h + base.lookahead <= T_w]
        ),
        "context": along("context", [c for c in (0, 2, 4, 8, T_p) if c <= T_p]),
        "rule": [
            (f"{rule}, H = {hop}, K = {k}", replace(base, hop=hop, steps=k, window_rule=rule))
            for hop, k in ((10, 2), (10, 4))
            for rule in ("adjacent", "sliding")
        ],
        "guidance": [
            *((f"audio {w:g}", replace(base, audio_guidance=w)) for w in (1.0, 1.5, 2.0)),
            ("style 1.5", replace(base, style_guidance=1.5)),
        ],
        "modes": [
            ("live defaults", base),
            ("paper mode, K = 2", replace(paper, steps=2, sampler="dpm++")),
            ("paper mode, K = 4", replace(paper, steps=4, sampler="dpm++")),
            ("paper mode, K = 20", replace(paper, steps=20, sampler="dpm++")),
            (ALL_STEPS, replace(paper, steps=steps, sampler="ancestral")),
        ],
    }
