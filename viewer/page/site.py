"""The web page as values: its own files, one head, and the look of `lights`; nothing from outside.

`viewer/web/` holds the page's files; the head and the shaders are made here, so that a browser
draws what the window draws.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.serve.door.http_pages import LatePage, Page
from viewer.page.head_file import pack_head
from viewer.scene import lights
from viewer.scene.drawing_order import RANGES, SLOPE_OFFSET

if TYPE_CHECKING:
    from head.model import Head

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
DESKTOP_VERSION = "#version 330 core"
WEB_VERSION = "#version 300 es\nprecision highp float;\nprecision highp int;"


def make_site(
    head: Head, shape: NDArray[np.float32] | None = None, others: Sequence[Head] = ()
) -> dict[str, Page]:
    """Path -> page: the page that shows `head` with the identity `shape` (S,).

    Its user may put the motion on those of the `others` that have the same channels. A head's file
    is made when it is first asked for, or by `get_ready`.
    """
    pages = {f"/{name}": Page(body, TYPES[kind]) for name, kind, body in _files()}
    pages["/look.json"] = Page(json.dumps(look()).encode(), "application/json")
    characters = []
    for number, character in enumerate([head, *_like(head, others)]):
        name = f"head-{number}.bin" if number else "head.bin"
        make = partial(pack_head, character, shape if number == 0 else None)
        # A head may be under a licence: where there is a token, it takes the token to have it.
        pages[f"/{name}"] = LatePage(make, "application/octet-stream", private=True)
        spoken = re.sub(r"-head-\d+$", "", character.id)
        characters.append({"id": character.id, "name": spoken, "file": name})
    text = json.dumps(characters).encode()
    pages["/characters.json"] = Page(text, "application/json", private=True)
    return pages


def get_ready(pages: Mapping[str, Page]) -> None:
    """Make what is not made yet, in the background: nobody who comes then waits for it.

    A program that ends waits for the page that is being made, and no other: a thread that is cut
    off within C++ would take the process down with it.
    """

    def make() -> None:
        for page in pages.values():
            if not threading.main_thread().is_alive():
                return
            page.packed  # noqa: B018 - it is kept from now on

    threading.Thread(target=make, name="pages", daemon=False).start()


def _files() -> Iterator[tuple[str, str, bytes]]:
    """Name, ending and bytes of each of the page's own files."""

    def below(folder: Traversable, place: str) -> Iterator[tuple[str, str, bytes]]:
        for file in sorted(folder.iterdir(), key=lambda each: each.name):
            ending = "." + file.name.rpartition(".")[2]
            if file.is_dir():
                yield from below(file, f"{place}{file.name}/")
            elif ending in TYPES:
                yield f"{place}{file.name}", ending, file.read_bytes()

    return below(files("viewer").joinpath("web"), "")


def _like(head: Head, others: Sequence[Head]) -> list[Head]:
    """Those whose channels are the head's own, each once."""
    found = {each.id: each for each in others if each.expression_names == head.expression_names}
    return [each for each in found.values() if each.id != head.id]


def look() -> dict[str, object]:
    """The shaders of `lights` for WebGL 2, and where its lights stand."""
    directions = {name: value.tolist() for name, value in lights.light_directions().items()}
    return {
        "vertex": _for_web(lights.VERTEX),
        "fragment": _for_web(lights.FRAGMENT),
        "backdrop_vertex": _for_web(lights.BACKDROP_VERTEX),
        "backdrop_fragment": _for_web(lights.BACKDROP_FRAGMENT),
        "lights": directions,
        "ranges": [{"body": body, "back": back} for body, back in RANGES],
        "slope_offset": SLOPE_OFFSET,
        "rim_direction": lights.unit(lights.RIM_DIRECTION).tolist(),
    }


def _for_web(shader: str) -> str:
    return shader.strip().replace(DESKTOP_VERSION, WEB_VERSION)
