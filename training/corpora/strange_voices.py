"""Voices that no training hears: Festival's and Open JTalk's, with the phone times they used.

`training.corpora.tts_voices` has what training does hear.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile
import soxr

from stream.frames import SAMPLE_RATE
from training.corpora.utterances import CorpusError, Utterance
from training.labels.phones import SILENCE, Phone, as_phones

KED = "ked_diphone"
"""A man's voice of Festival, in diphones (Debian: festvox-kdlpc16k), American English."""
DICTIONARY = Path("/var/lib/mecab/dic/open-jtalk/naist-jdic")
_SAY = """\
(voice_{voice})
(set! said (utt.synth (Utterance Text "{text}")))
(utt.save.wave said "{sound}" 'riff)
(utt.save.segs said "{times}")
"""
_JAPANESE = {
    "a": "AA",
    "i": "IY",
    "u": "UH",
    "e": "EH",
    "o": "AO",
    "N": "N",
    "cl": SILENCE,
    "pau": SILENCE,
    "sil": SILENCE,
    "f": "HH",
    "r": "D",
    "ts": "T S",
    "sh": "SH",
    "ch": "CH",
    "j": "JH",
    "y": "Y",
    "h": "HH",
    "ky": "K Y",
    "gy": "G Y",
    "ny": "N Y",
    "hy": "HH Y",
    "by": "B Y",
    "py": "P Y",
    "my": "M Y",
    "ry": "D Y",
    **{
        letter: letter.upper() for letter in ("k", "g", "s", "z", "t", "d", "n", "b", "p", "m", "w")
    },
}
"""Open JTalk's names of Japanese sounds by the lips' shape; two sounds share the time of one."""


def festival(text: str, voice: str, path: Path) -> Utterance:
    """The text spoken by a Festival voice into a file at 16 kHz.

    Raises:
        CorpusError: Festival or the voice is not there or could not.
    """
    with tempfile.TemporaryDirectory(prefix="festival-") as folder:
        sound, times, script = (Path(folder) / name for name in ("said.wav", "times", "say.scm"))
        script.write_text(_SAY.format(voice=voice, text=text, sound=sound, times=times), "utf-8")
        _run(["festival", "-b", str(script)], "sudo apt install festival festvox-kdlpc16k")
        duration = _resampled(sound, path)
        lines = times.read_text("utf-8").splitlines()[1:]
    ends = [(line.split()[2], float(line.split()[0])) for line in lines]
    return Utterance(path.stem, f"festival_{voice}", path, duration, _until(ends), text)


def open_jtalk(text: str, voice: Path, path: Path) -> Utterance:
    """Japanese text spoken by Open JTalk with a .htsvoice file into a file at 16 kHz.

    Raises:
        CorpusError: Open JTalk, its dictionary or the voice is not there or could not.
    """
    with tempfile.TemporaryDirectory(prefix="open-jtalk-") as folder:
        said, sound, trace = (Path(folder) / name for name in ("said.txt", "said.wav", "trace"))
        said.write_text(text, "utf-8")
        command = ["open_jtalk", "-x", str(DICTIONARY), "-m", str(voice), "-ow", str(sound)]
        command += ["-ot", str(trace), str(said)]
        _run(command, "sudo apt install open-jtalk open-jtalk-mecab-naist-jdic")
        duration = _resampled(sound, path)
        labels = trace.read_text("utf-8").partition("[Output label]")[2].split("\n\n")[0]
    phones = spelled([line.split() for line in labels.strip().splitlines()])
    return Utterance(path.stem, f"open_jtalk_{voice.stem}", path, duration, phones, text)


def spelled(labels: Sequence[Sequence[str]]) -> tuple[Phone, ...]:
    """Phones of full-context labels: start and end in 100 ns, and xx^xx-PHONE+xx=...

    Raises:
        CorpusError: a sound without a name in ARPABET.
    """
    phones: list[tuple[str, float, float]] = []
    for start, end, context in labels:
        name = context.partition("-")[2].partition("+")[0]
        name = name.lower() if name in "AIUEO" else name  # whispered vowels
        if name not in _JAPANESE:
            raise CorpusError(f"Open JTalk speaks {name!r}, which has no name in ARPABET here")
        parts = _JAPANESE[name].split()
        first, each = int(start) * 1e-7, (int(end) - int(start)) * 1e-7 / len(parts)
        phones += [(part, first + i * each, each) for i, part in enumerate(parts)]
    return tuple(as_phones(phones))


def _until(ends: Sequence[tuple[str, float]]) -> tuple[Phone, ...]:
    """Phones of names and the seconds at which each ends."""
    starts = [0.0, *(end for _, end in ends)]
    every = zip(ends, starts, strict=False)
    return tuple(as_phones([(name, start, end - start) for (name, end), start in every]))


def _run(command: Sequence[str], remedy: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CorpusError(f"cannot run {command[0]} ({error}): `{remedy}`") from error


def _resampled(sound: Path, path: Path) -> float:
    """Put a sound file at 16 kHz at `path`; returns its seconds."""
    try:
        samples, rate = soundfile.read(sound, dtype="float32")
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"nothing was spoken: {error}") from error
    out = soxr.resample(samples, rate, SAMPLE_RATE)
    soundfile.write(path, out, SAMPLE_RATE)
    return len(out) / SAMPLE_RATE
