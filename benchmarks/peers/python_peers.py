"""Lip synchronisers from PyPI: `python python_peers.py JOB.json`, in an environment that has them.

The job and what is written are those of `peers.mjs`; nothing of posetalk is imported here.
"""

from __future__ import annotations

import json
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VISEMES = {
    "PP": ("P", "B", "M"),
    "FF": ("F", "V"),
    "TH": ("TH", "DH"),
    "DD": ("T", "D", "L"),
    "kk": ("K", "G", "HH"),
    "CH": ("CH", "JH", "SH", "ZH"),
    "SS": ("S", "Z"),
    "nn": ("N", "NG"),
    "RR": ("R", "ER"),
    "U": ("W", "UH", "UW"),
    "I": ("Y", "IH", "IY"),
    "aa": ("AA", "AE", "AH", "AY", "AW"),
    "O": ("AO", "OW", "OY"),
    "E": ("EH", "EY"),
}
OPEN = {
    "sil": 0.0, "PP": 0.0, "FF": 0.1, "TH": 0.25, "DD": 0.25, "kk": 0.3, "CH": 0.2, "SS": 0.15,
    "nn": 0.2, "RR": 0.3, "aa": 1.0, "E": 0.6, "I": 0.35, "O": 0.7, "U": 0.3,
}  # fmt: skip
ROUND = {"O": 0.6, "U": 1.0, "CH": 0.3, "RR": 0.2}
SOUNDS = {"aa": (1.0, 0.0), "ee": (0.6, 0.0), "ih": (0.35, 0.0), "oh": (0.7, 0.6), "ou": (0.3, 1.0)}
"""How far the classes of pylipsync open the mouth, and round it."""
PHONES = {phone: viseme for viseme, phones in VISEMES.items() for phone in phones}

Event = tuple[float, float, float]
"""Seconds of the clock, then how open and how round the mouth is from then on."""


def pocketsphinx() -> Callable[[Any], list[Event]]:
    """The last phone of the best path so far, as sound comes in."""
    import pocketsphinx as ps

    model = ps.get_model_path("en-us/en-us-phone.lm.bin")
    decoder = ps.Decoder(allphone=model, lw=2.0, beam=1e-10, pbeam=1e-10, logfn="/dev/null")

    def hear(samples: Any) -> list[Event]:
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        found: list[Event] = []
        decoder.start_utt()
        for start in range(0, len(pcm), 640):  # 20 ms
            decoder.process_raw(pcm[start : start + 640], False, False)
            path = list(decoder.seg()) if decoder.hyp() else []
            if path:
                viseme = PHONES.get(path[-1].word.strip("+<>"), "sil")
                now = min(start + 640, len(pcm)) / 32000
                found.append((now, OPEN[viseme], ROUND.get(viseme, 0.0)))
        decoder.end_utt()
        return found

    return hear


def pylipsync() -> Callable[[Any], list[Event]]:
    """Segments of a whole file."""
    from pylipsync import PhonemeAnalyzer

    analyzer = PhonemeAnalyzer()

    def hear(samples: Any) -> list[Event]:
        found: list[Event] = []
        for part in analyzer.extract_phoneme_segments(samples, 16000, return_seconds=True):
            sounds = part.phonemes if hasattr(part, "phonemes") else part.phoneme_targets
            weights = [(SOUNDS.get(each.name, (0.0, 0.0)), each.target) for each in sounds]
            start = getattr(part, "start_seconds", None)
            opening, rounding = (sum(each[i] * share for each, share in weights) for i in (0, 1))
            found.append((float(part.start if start is None else start), opening, rounding))
        return found

    return hear


def held(events: list[Event], cells: int) -> dict[str, list[float]]:
    """Both curves at 100 a second, each value until the next."""
    times = [event[0] for event in events]
    at = np.searchsorted(times, np.arange(cells) / 100, side="right") - 1
    rows = np.array([(0.0, 0.0), *(event[1:] for event in events)])
    opening, rounding = np.round(rows[at + 1], 3).T.tolist()
    return {"open": opening, "round": rounding}


def main(job: dict[str, Any]) -> None:
    """Hear every clip, and write the curves."""
    hear = {"pocketsphinx": pocketsphinx, "pylipsync": pylipsync}[job["system"]]()
    hear(np.zeros(16000, np.float32))
    clips, used, seconds = {}, 0.0, 0.0
    for clip in job["clips"]:
        with wave.open(clip["wav16"]) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        samples = (pcm / 32768).astype(np.float32)
        began = time.process_time()
        events = hear(samples)
        used += time.process_time() - began
        seconds += len(samples) / 16000
        clips[clip["id"]] = held(sorted(events), len(samples) // 160 + 1)
        if used > job["cpu_limit"]:
            break
    done = {"clips": clips, "cpu_s": used, "seconds": seconds}
    Path(job["out"]).write_text(json.dumps(done), "utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
