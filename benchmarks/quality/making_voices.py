"""`posetalk bench voices`: speak the set of `benchmarks.quality.own_voices` again.

Needs Festival with a voice, espeak-ng, Open JTalk and one of its voices; `--help` says from where.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.quality.own_voices import FOLDER, FRAMES, LIST
from head.new_file import new_file
from stream.frames import FPS
from training.corpora.strange_voices import KED, festival, open_jtalk
from training.corpora.tts_voices import ESPEAK_VOICES, espeak
from training.corpora.utterances import CorpusError, Utterance, load_audio

ENGLISH = (
    "Peter bought a pound of butter and a pot of blue paint for the boat, before the boys moved "
    "their table.",
    "My mother made warm bread on Monday, and we ate it with apple jam by the open window, "
    "until noon.",
    "You move the map a bit, and Bob will show you where the slow brown river bends below the "
    "small bridge.",
    "Who put the purple book above my bed, and why is the lamp by the window on all through the "
    "night, my friend?",
)
JAPANESE = (
    "ママは赤いボタンを三つ持って、港の町へ船で行きました。窓から海が見えます。",
    "パパが窓を開けると、雨と木の葉の匂いが、部屋の中まで入ってきました。",
    "駅前のパン屋で、甘いメロンパンと、牛乳を二本買ってください。お願いします。",
    "冬の朝、山の上の小さな村では、馬も豚も、まだ眠っています。とても静かです。",
)
ESPEAK = ("Gene", "anika")
"""Variants that `training.corpora.tts_voices` does not list."""
SLOW = 140
"""Words a minute of espeak-ng: a clip is to be full of them."""
_LEVEL = 0.9  # of compression: about 30 kbit/s


@dataclass(frozen=True)
class MakeVoices:
    """Speak the small set that `bench-latency --quality` measures on, with the engines' times."""

    htsvoice: Annotated[Path, tyro.conf.arg(metavar="mei_normal.htsvoice")]
    """A voice for Open JTalk: MMDAgent's Mei (CC BY 3.0), which PyPI's pyopenjtalk-plus holds."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = FOLDER
    """Where the sound and its list go."""


def spoken(htsvoice: Path, folder: Path) -> Iterator[Utterance]:
    """Every utterance in a sound file of `folder`, all voices in turn."""
    if set(ESPEAK) & set(ESPEAK_VOICES):
        raise CorpusError(f"training hears {set(ESPEAK) & set(ESPEAK_VOICES)}: take other voices")
    lists: list[list[Callable[..., Utterance]]] = [
        [partial(festival, text, KED) for text in ENGLISH],
        [
            partial(espeak, text, ESPEAK[n % 2], words_per_minute=SLOW)
            for n, text in enumerate(ENGLISH)
        ],
        [partial(open_jtalk, text, htsvoice) for text in JAPANESE],
    ]
    in_turn = filter(None, chain.from_iterable(zip_longest(*lists)))
    for number, say in enumerate(in_turn, 1):
        yield say(path=folder / f"{number:02d}.wav")


def make(htsvoice: Path, output: Path) -> int:
    """Speak and write all; returns the bytes of sound.

    Raises:
        CorpusError: an engine is not there, or an utterance is too short for a clip.
    """
    import soundfile

    output.mkdir(parents=True, exist_ok=True)
    entries, size = [], 0
    with tempfile.TemporaryDirectory(prefix="voices-") as folder:
        for one in spoken(htsvoice, Path(folder)):
            samples = load_audio(one)
            if one.duration < FRAMES / FPS + 0.3:
                raise CorpusError(f"{one.speaker_set} says {one.text!r} in {one.duration:.1f} s")
            with new_file(output / f"{one.id}.opus") as part:
                soundfile.write(
                    part, samples, 16000, "OPUS", format="OGG", compression_level=_LEVEL
                )
            size += (output / f"{one.id}.opus").stat().st_size
            phones = [[p.name, round(p.start, 4), round(p.length, 4)] for p in one.phones]
            entry = {"id": one.id, "voice": one.speaker_set, "text": one.text}
            entries.append({**entry, "seconds": round(one.duration, 3), "phones": phones})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    with new_file(output / LIST) as part:
        part.write_text(f'{{"utterances": [\n{lines}\n]}}\n', "utf-8")
    return size


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 made, 1 failed, 2 wrong usage."""
    command = tyro.cli(MakeVoices, prog="posetalk bench voices", args=arguments)
    try:
        size = make(command.htsvoice, command.output)
    except (CorpusError, OSError) as error:
        print(f"posetalk bench voices: {error}", file=sys.stderr)
        return 1
    print(f"wrote {command.output}: {size / 1e3:.0f} kB of sound")
    return 0
