"""Training data as tracks: joined utterances of one voice, heard through augmentation, labelled.

`posetalk train tracks` writes `.training/tracks/`: columns.npy (hearings, 4 N, n_mels)
float16 normalised mel columns, motion.npy (N, 54) float32, phone.npy (N,) uint8, perhaps
teacher.npy (N, 384) float16, tracks.json (spans, styles, sets).  Every track is heard several
times, through other rooms and noises, so that what is learned of a sound is what all its hearings
share.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import tyro
from numpy.typing import NDArray

from head.errors import NotInstalled
from head.files.json_file import write_json
from head.new_file import new_file
from stream.frames import FPS
from training.corpora.alignment import well_aligned
from training.corpora.people import by_person, read_folder, refuse_judges, training_people
from training.corpora.tts_voices import ESPEAK_VOICES, FLITE_VOICES, espeak, flite, sentences
from training.corpora.utterances import Utterance, data_folder, held_out_voices
from training.labels.label_styles import STYLES
from training.labels.lip_contact import LIVE_LOOKAHEAD_SECONDS
from training.speech.track import make_track, style_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackSettings:
    """What is built. `tracks` of about `seconds` each, from `seed`; `workers` processes."""

    out: Path = Path(".training/tracks")
    """Folder to write."""
    tracks: int = 2400
    """Number of tracks."""
    seconds: float = 16.0
    """Length of a track, about."""
    seed: int = 15
    """Seed of everything that is drawn."""
    workers: int = 2
    """Processes that work at once."""
    n_mels: int = 80
    """Mel bands of a column."""
    flite_sentences: int = 500
    """Sentences of each voice of flite."""
    espeak_sentences: int = 60
    """Sentences of each voice of espeak-ng."""
    hearings: int = 5
    """How often each track is heard: clean, in a quiet room by some device, then disturbed."""
    lookahead: float = LIVE_LOOKAHEAD_SECONDS
    """Seconds before a word in which lips may part: nobody learns to foresee what is not heard."""
    input_gain: bool = True
    """Bring speech to one level before the encoder hears it, as its spec must say."""
    people: bool = True
    """Hear the corpora of many people, too."""
    without_corpora: tuple[str, ...] = ()
    """Corpora of many people that are left out whole, for a reverse run: `vctk`."""
    transcripts: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: nothing)")
    ] = None
    """Folder of `posetalk train transcripts`: better texts than some corpora have."""
    neural: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: nothing)")
    ] = None
    """Folder of `posetalk train voices`: synthetic voices that sound like people."""
    teacher: bool = False
    """Keep what Whisper's encoder makes of each track, for the speech encoder to learn."""
    choosers: bool = False
    """Tracks of the people by whom one chooses, and of nobody else."""
    motion_only: bool = False
    """Keep the sound that is there and label it anew."""


def voices(settings: TrackSettings) -> dict[str, list[list[Utterance]]]:
    """Groups of utterances that may be joined (one voice each), by set; training voices only.

    Recordings whose alignment missed words are left out: lips would learn to rest while they speak.
    """
    if settings.choosers:
        return dict(people_of(settings))
    train, _ = held_out_voices()
    with ProcessPoolExecutor(settings.workers) as pool:
        fit = pool.map(well_aligned, train, chunksize=16)
        train = [u for u, aligned in zip(train, fit, strict=True) if aligned]
    kathleen = [u for u in train if u.speaker_set == "kathleen_cc0"]
    texts = [u.text for u in kathleen if u.text]
    return {
        **people_of(settings),
        "neural": by_person(read_folder("neural", settings.neural)) if settings.neural else [],
        "kathleen": [kathleen],
        "many": [[u] for u in train if u.speaker_set == "picovoice_s2i"],
        "wake": [[u] for u in train if u.speaker_set == "picovoice_wake"],
        VOICELESS: [[]],
        **synthetic_voices(settings, texts),
    }


def people_of(settings: TrackSettings) -> dict[str, list[list[Utterance]]]:
    """Groups of utterances of the corpora of many people, by corpus."""
    if not settings.people:
        return {}
    people = training_people(
        settings.without_corpora, transcripts=settings.transcripts, choosers=settings.choosers
    )
    refuse_judges([u for groups in people.values() for own in groups for u in own])
    return people


def synthetic_voices(settings: TrackSettings, texts: list[str]) -> dict[str, list[list[Utterance]]]:
    """What every synthetic voice says, by engine."""
    rng = np.random.default_rng(settings.seed)
    folder = settings.out.parent / "synthetic"
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[list[Utterance]]] = {"flite": [], "espeak": []}
    with ThreadPoolExecutor(settings.workers) as pool:
        for voice in FLITE_VOICES:
            said = sentences(texts, settings.flite_sentences, rng)
            paths = [folder / f"{voice}_{i:04d}.wav" for i in range(len(said))]
            groups["flite"].append(list(pool.map(flite, said, [voice] * len(said), paths)))
    for voice in ESPEAK_VOICES:  # one after another: the library has one state
        rate, pitch = int(rng.integers(140, 200)), int(rng.integers(35, 65))
        groups["espeak"].append(
            [
                espeak(
                    text, voice, folder / f"{voice}_{i:04d}.wav", words_per_minute=rate, pitch=pitch
                )
                for i, text in enumerate(sentences(texts, settings.espeak_sentences, rng))
            ]
        )
    return groups


VOICELESS = "voiceless"
"""The set in which nobody speaks."""
SHARES = {
    "kathleen": 0.12,
    "many": 0.12,
    "wake": 0.06,
    "librispeech": 0.30,
    "vctk": 0.14,
    "commands": 0.08,
    "neural": 0.08,
    "flite": 0.05,
    "espeak": 0.04,
    VOICELESS: 0.05,
}
"""Most of the sound is of many real people: synthetic ones bring words, not rooms and tongues.
Sets that are left out leave their shares to the others."""


def main(settings: TrackSettings) -> None:
    """Build the tracks and write them."""
    from tqdm import tqdm

    if settings.teacher and find_spec("faster_whisper") is None:
        raise NotInstalled("a teacher needs Whisper: pip install -e '.[corpora]'")
    settings.out.mkdir(parents=True, exist_ok=True)
    groups = voices(settings)
    folder = data_folder() / "noise"
    noises = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.opus"))]
    rng = np.random.default_rng(settings.seed + 1)
    spoken = [u for sets in groups.values() for group in sets for u in group]
    jobs = []
    names = [name for name in SHARES if groups.get(name)]
    shares = np.array([SHARES[name] for name in names])
    for number in range(settings.tracks):
        name = str(rng.choice(names, p=shares / shares.sum()))
        group = groups[name][int(rng.integers(len(groups[name])))]
        jobs.append(
            {
                "seed": [settings.seed, number],
                "style_seed": settings.seed,
                "utterances": group,
                "seconds": settings.seconds,
                "noises": noises,
                "n_mels": settings.n_mels,
                "set": name,
                "hearings": settings.hearings,
                "crowd": [spoken[i] for i in rng.integers(len(spoken), size=24)],
                "motion_only": settings.motion_only,
                "lookahead": settings.lookahead,
                "input_gain": settings.input_gain,
                "teacher": settings.teacher,
            }
        )
    columns, motion, phone, teacher, spans = [], [], [], [], []
    at = 0
    with ProcessPoolExecutor(settings.workers) as pool:
        for track in tqdm(pool.map(make_track, jobs, chunksize=4), total=len(jobs), unit="track"):
            n = len(track["motion"])
            motion.append(track["motion"])
            if settings.motion_only:
                continue
            columns.append(track["columns"])
            phone.append(track["phone"])
            if settings.teacher:
                teacher.append(track["teacher"])
            about = {key: track[key] for key in ("style", "set", "restarts")}
            spans.append({"start": at, "end": at + n, **about})
            at += n
    _save(settings.out / "motion.npy", np.concatenate(motion))
    if settings.motion_only:
        _note_relabelling(settings)
        return
    _save(settings.out / "columns.npy", np.concatenate(columns, 1))
    _save(settings.out / "phone.npy", np.concatenate(phone))
    if settings.teacher:
        _save(settings.out / "teacher.npy", np.concatenate(teacher))
    write_json(
        settings.out / "tracks.json",
        {
            "spans": spans,
            "styles": [asdict(s) for s in style_table(settings.seed)],
            "named": list(STYLES),
            "settings": {k: str(v) for k, v in asdict(settings).items()},
        },
    )
    log.info("%d tracks, %.1f minutes", len(spans), at / FPS / 60)


def _save(path: Path, array: NDArray[Any]) -> None:
    with new_file(path) as part, part.open("wb") as file:
        np.save(file, array)


def _note_relabelling(settings: TrackSettings) -> None:
    """Tell the tracks' record how often their motion was made anew, and of which styles."""
    path = settings.out / "tracks.json"
    about = json.loads(path.read_text())
    about["styles"] = [asdict(style) for style in style_table(settings.seed)]
    about["settings"]["relabelled"] = 1 + about["settings"].get("relabelled", 0)
    write_json(path, about)
