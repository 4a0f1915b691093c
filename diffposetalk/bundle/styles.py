"""Speaking styles as vectors: mixed by a short formula, kept in files of their own.

A style vector means something to one style encoder only (and to denoisers trained with it), so a
style file carries the checksum of the encoder that made it.  Needs numpy alone.

    lively                     by name
    lively*0.7+calm*0.3        a mix; weights are shares, so lively*7+calm*3 is the same
    neutral*1.5+calm*-0.5      away from calm
    ada.npz*0.5+calm*0.5       with a style file (where files are allowed)
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.files.array_file import read_arrays
from head.files.json_file import read_json
from head.new_file import new_file

FloatArray = NDArray[np.float32]
SUFFIXES = (".npz", ".npy")
LARGEST_FILE = 1 << 20
_NAME = re.compile(r"[^\s/\\*+][^/\\*+]{0,63}")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")


MOST_SHARE = 20.0
"""The largest share of a mix, either way: what lies beyond is no motion of anybody's."""


class StyleError(PosetalkError, ValueError):
    """A style that cannot be used; the message is one line."""


def resolve(
    text: str, styles: Mapping[str, FloatArray], *, files: bool = False, encoder: str | None = None
) -> FloatArray:
    """The vector, (d_style,) float32, that a style's name, mix or file stands for.

    Args:
        text: see the top of this page.
        styles: (d_style,) vectors by name.
        files: whether a term may name a .npz or .npy file. Only for text that this machine's own
            user wrote: a client on the network must not choose files to read.
        encoder: checksum of the style encoder in use; style files of another one are refused.

    Raises:
        StyleError: an unknown name, a term that is none, or weights that sum to (nearly) zero or
            are not finite.
        FileNotFoundError: a style file that is not there.
    """
    if text in styles:
        return styles[text]
    if files and Path(text).suffix.lower() in SUFFIXES and Path(text).is_file():
        return read_style(text, encoder=encoder)
    vectors: list[FloatArray] = []
    weights: list[float] = []
    for term in text.split("+"):
        name, weight = _term(term, text)
        if files and name not in styles and Path(name).suffix.lower() in SUFFIXES:
            vector = read_style(name, encoder=encoder)
        elif name in styles:
            vector = styles[name]
        else:
            raise StyleError(f"no style {_short(name)}: there are {', '.join(styles)}")
        if vectors and vector.shape != vectors[0].shape:
            size, others = vector.size, vectors[0].size
            raise StyleError(f"style {name!r} has {size} numbers, the others {others}")
        vectors.append(vector)
        weights.append(weight)
    whole = math.fsum(weights)
    if abs(whole) < 1e-6:
        raise StyleError(f"style {_short(text)}: the weights sum to zero")
    if any(abs(weight) > MOST_SHARE * abs(whole) for weight in weights):
        raise StyleError(
            f"style {_short(text)}: a weight is more than {MOST_SHARE:g} times the sum of all"
        )
    shares = np.array(weights, np.float64) / whole
    return check_vector(shares @ np.array(vectors, np.float64))


def check_vector(vector: NDArray[np.floating]) -> FloatArray:
    """`vector` in float32, if all of it is finite.

    Raises:
        StyleError: a number in it is not, or is too large for float32.
    """
    with np.errstate(over="ignore"):
        checked = np.asarray(vector, np.float32)
    if not np.isfinite(checked).all():
        raise StyleError("a style is a row of finite numbers: this one has some that are not")
    return checked


def _short(text: str) -> str:
    """`text` in quotes, cut where it is long: what a stranger sent is not repeated whole."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _term(term: str, text: str) -> tuple[str, float]:
    """`NAME`, `NAME*WEIGHT` or `WEIGHT*NAME` as (name, weight)."""
    parts = [part.strip() for part in term.split("*")]
    if len(parts) == 1 and parts[0]:
        return parts[0], 1.0
    if len(parts) == 2 and all(parts):
        for name, number in (parts, parts[::-1]):
            if _NUMBER.fullmatch(number):
                weight = float(number)
                if not math.isfinite(weight):
                    raise StyleError(f"style {_short(text)}: {_short(number)} is no finite weight")
                return name, weight
    raise StyleError(f"style {_short(text)}: write NAME, or a mix such as NAME*0.7+NAME*0.3")


def check_name(name: str) -> str:
    """`name`, if a style may be called so.

    Raises:
        StyleError: it is empty, too long, or holds a character that mixes or folders use.
    """
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise StyleError(f"{name!r} cannot name a style: use letters, digits, - and _")
    return name


def read_style(path: str | Path, *, encoder: str | None = None) -> FloatArray:
    """The vector in a style file: .npz as `write_style` makes, or a plain .npy of (d_style,).

    Raises:
        StyleError: not such a file, not finite, or made by another encoder than `encoder`.
        FileNotFoundError: there is none.
    """
    path = Path(path)
    made_by = ""
    try:
        loaded = read_arrays(path, LARGEST_FILE)
        if isinstance(loaded, np.ndarray):
            vector = loaded
        else:
            vector = loaded["style"]
            made_by = str(loaded["encoder"]) if "encoder" in loaded else ""
    except FileNotFoundError:
        raise
    except (KeyError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise StyleError(f"{path}: not a style file ({reason})") from None
    if vector.dtype.kind != "f" or vector.ndim != 1:
        raise StyleError(f"{path}: a style is one row of finite numbers")
    try:
        checked = check_vector(vector)
    except StyleError:
        raise StyleError(f"{path}: a style is one row of finite numbers") from None
    if encoder and made_by and made_by != encoder:
        raise StyleError(
            f"{path}: made by another bundle's style encoder; extract it again with this bundle"
        )
    return checked


def write_style(
    path: str | Path, vector: FloatArray, *, encoder: str = "", source: str = "", consent: str = ""
) -> None:
    """Write a style file: all of it, or nothing. A name ending in .npy holds the vector alone.

    Args:
        path: where.
        vector: (d_style,).
        encoder: checksum of the style encoder.
        source: what it was made of.
        consent: how the person whose style it is agreed.
    """
    path = Path(path)
    with new_file(path) as part, part.open("wb") as file:
        if path.suffix.lower() == ".npy":
            np.save(file, vector.astype(np.float32))
        else:
            np.savez(
                file,
                style=vector.astype(np.float32),
                encoder=np.array(encoder),
                source=np.array(source),
                consent=np.array(consent),
            )


def own_folder() -> Path:
    """Where this user's styles live: $XDG_DATA_HOME/posetalk/styles."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "posetalk" / "styles"


def own_styles(encoder: str) -> dict[str, FloatArray]:
    """The user's styles made by this encoder, by name; files that cannot be read are left out."""
    found: dict[str, FloatArray] = {}
    for path in sorted((own_folder() / encoder[:16]).glob("*.npz")):
        try:
            found[path.stem] = read_style(path, encoder=encoder)
        except (StyleError, OSError):
            continue
    return found


def own_path(name: str, encoder: str) -> Path:
    """The file of the user's style `name` for this encoder; its folder is made.

    Raises:
        StyleError: not a name for a style.
        OSError: the folder cannot be made.
    """
    folder = own_folder() / encoder[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{check_name(name)}.npz"


def encoder_of(bundle: Path) -> str:
    """What tells the style encoder of a bundle's folder from others: a checksum, 64 digits.

    A bundle without one is told by its network, which knows the styles that it was trained with.

    Raises:
        StyleError: the configuration cannot be read.
    """
    try:
        listed = read_json(bundle / "config.json")["files"]
        known = listed.get("style_encoder.safetensors") or listed["model.safetensors"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StyleError(f"{bundle}: cannot read its configuration ({error})") from None
    return hashlib.sha256(str(known).encode()).hexdigest()
