"""Whether a recording's phone times can be believed."""

from __future__ import annotations

import numpy as np

from training.corpora.utterances import Utterance, load_audio
from training.labels.phones import SILENCE, tidy
from training.labels.prosody import extract_prosody

MISSED_SECONDS = 0.2
"""Speech in the middle of a pause that is more than a breath or a click."""


def well_aligned(utterance: Utterance) -> bool:
    """Whether nobody speaks where the phones say that nobody does: words that they miss."""
    prosody = extract_prosody(load_audio(utterance))
    middles = (np.arange(len(prosody.activity)) + 0.5) / prosody.rate
    for phone in tidy(utterance.phones, prosody):
        if phone.name == SILENCE:
            inside = (middles >= phone.start + 0.2) & (middles < phone.end - 0.2)
            if (prosody.activity[inside] > 0.5).sum() > MISSED_SECONDS * prosody.rate:
                return False
    return True
