"""Which styles a program can speak in: the bundle's, the user's own, and what `--style` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from diffposetalk.bundle.bundle import bundle_folder
from diffposetalk.bundle.styles import encoder_of, own_styles, resolve

if TYPE_CHECKING:
    from stream.backends.protocol import Backend

    AnyBackend = TypeVar("AnyBackend", bound=Backend)


def add_user_styles(backend: AnyBackend, bundle: str, style: object = None) -> AnyBackend:
    """`backend` with the user's own styles among its styles, and with `style` if that is a text.

    After this, a session finds `style` by its text: a name, a mix, a file or a mix with files.

    Args:
        backend: its `styles` are replaced.
        bundle: what it was loaded from.
        style: what the user asked for; anything but a text is left to the session.

    Raises:
        diffposetalk.bundle.styles.StyleError: an unknown name, a wrong mix, or a file that is no
        style. FileNotFoundError: a style file that is not there.
    """
    styles = dict(backend.styles)
    encoder = None
    if backend.spec.use_style:
        encoder = encoder_of(bundle_folder(bundle))
        size = (backend.spec.style.d_style,)
        for name, vector in own_styles(encoder).items():
            if vector.shape == size:
                styles.setdefault(name, vector)
    if isinstance(style, str) and style not in styles:
        styles[style] = resolve(style, styles, files=True, encoder=encoder)
    backend.styles = styles
    return backend
