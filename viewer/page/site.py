"""The web page as values: its own files, one head, and the look of `lights`; nothing from outside.

`viewer/web/` holds the page's files; the head and the shaders are made here, so that a browser
draws what the window draws.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.serve.door.http_pages import Page
from viewer.page.head_file import pack_head
from viewer.scene import lights

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


def make_site(head: Head, shape: NDArray[np.float32] | None = None) -> dict[str, Page]:
    """Path -> page: the page that shows `head` with the identity `shape` (S,)."""
    pages = {
        f"/{file.name}": Page(file.read_bytes(), TYPES[suffix])
        for file in files("viewer").joinpath("web").iterdir()
        if (suffix := "." + file.name.rpartition(".")[2]) in TYPES
    }
    pages["/look.json"] = Page(json.dumps(look()).encode(), "application/json")
    head_file = pack_head(head, shape)
    # A head may be under a licence: where there is a token, it takes the token to have it.
    pages["/head.bin"] = Page(head_file, "application/octet-stream", private=True)
    return pages


def look() -> dict[str, object]:
    """The shaders of `lights` for WebGL 2, and where its lights stand."""
    directions = {name: value.tolist() for name, value in lights.light_directions().items()}
    return {
        "vertex": _for_web(lights.VERTEX),
        "fragment": _for_web(lights.FRAGMENT),
        "backdrop_vertex": _for_web(lights.BACKDROP_VERTEX),
        "backdrop_fragment": _for_web(lights.BACKDROP_FRAGMENT),
        "lights": directions,
        "rim_direction": lights.unit(lights.RIM_DIRECTION).tolist(),
    }


def _for_web(shader: str) -> str:
    return shader.strip().replace(DESKTOP_VERSION, WEB_VERSION)
