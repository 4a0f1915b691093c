"""Where a run is put together: from settings to a model, a session and a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from posetalk.app.settings.model import ModelSettings
from posetalk.app.settings.stream import StreamSettings, channel_of
from posetalk.terminal.console import say

if TYPE_CHECKING:
    from head.retarget import Retarget
    from stream.audio import AudioSource
    from stream.backends.protocol import Backend, FloatArray
    from stream.core.options import SessionOptions
    from stream.core.session import Session


def load_model(
    settings: ModelSettings, threads: int | None = None
) -> tuple[Backend, Retarget | None]:
    """What runs the model, the user's own styles among its styles, and how its motion moves the
    head that is asked for; None where it is its own.

    Args:
        threads: of a model call; None is what suits the model and the machine.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle.
        head.model.HeadError: no such head, or the motion cannot be mapped to it.
        ValueError: a setting that cannot be.
    """
    from head.rig import open_head
    from posetalk.app.user_styles import add_user_styles
    from stream.backends.registry import load_backend
    from stream.core.retarget import retarget_to

    backend = load_backend(
        settings.backend, settings.bundle, threads, settings.precision, settings.steps, settings.gpu
    )
    backend = add_user_styles(backend, settings.bundle, settings.style)
    head = settings.head
    return backend, None if head is None else retarget_to(backend, open_head(head))


def open_session(
    settings: ModelSettings,
    *,
    options: SessionOptions | None = None,
    shape: FloatArray | None = None,
    needs_head: bool = True,
) -> Session:
    """A session with these settings; loads the weights, which takes a moment and is shown.

    Args:
        options: other live settings; what `settings` names goes before them.
        shape: (n_shape,) identity; None is the bundle's mean.
        needs_head: whether the head that the motion belongs to must be here.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle, or its head is not here.
        head.model.HeadError, ValueError: as `load_model`.
    """
    from diffposetalk.bundle.bundle import require_head
    from posetalk.terminal.progress import working
    from stream.core.device_session import make_session

    if needs_head and settings.backend != "fake":
        require_head(settings.bundle)
    with working(f"loading {settings.bundle}"):
        backend, mapping = load_model(settings)
    if mapping is not None:
        say(f"motion of {mapping.source.id} moves {mapping.target.id} {mapping.how}")
    named = settings.live_options()
    if options is not None:
        wanted = {name: value for name, value in vars(named).items() if value is not None}
        named = replace(options, **wanted)
    return make_session(
        backend,
        options=named,
        shape=shape,
        style=settings.style,
        seed=settings.seed,
        retarget=mapping,
    )


def open_source(settings: StreamSettings, *, page: bool = False) -> AudioSource:
    """The source that `source` names: one of SOURCES, else an audio file.

    With a `page` to look at, a microphone that is not there is the page's instead.

    Raises:
        stream.sources.SourceError: it cannot be opened.
    """
    from stream.sources.file import FileSource

    if settings.source in SOURCES:
        return SOURCES[settings.source](settings, page)
    return FileSource(settings.source, channel=channel_of(settings.channel))


def _microphone(settings: StreamSettings, page: bool) -> AudioSource:
    """The microphone; where there is none, the page's or the demo speech."""
    from stream.sources.microphone import Microphone
    from stream.sources.native.portaudio import MicrophoneError
    from stream.sources.pushed import PushedSource
    from stream.sources.returning import STALL_SECONDS, ReturningSource

    device = settings.device
    wanted = int(device) if device and device.isdigit() else device
    try:
        channel = channel_of(settings.channel)
        return ReturningSource(
            lambda: Microphone(wanted, silence_timeout=STALL_SECONDS, channel=channel)
        )
    except MicrophoneError as error:
        if device or settings.channel != "auto":
            raise
        if page:
            say(f"{error.reason}; speak through the page")
            return PushedSource()
        say(f"{error.reason}; playing the demo speech")
        return _demo(settings, page)


def _demo(settings: StreamSettings, page: bool) -> AudioSource:
    from posetalk import demo_speech
    from stream.sources.file import FileSource

    return FileSource(demo_speech(), kind="demo")


def _pushed(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.nothing import NoSource

    return NoSource("pushed audio", "push")


def _none(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.nothing import NoSource

    return NoSource()


def _standard_input(settings: StreamSettings, page: bool) -> AudioSource:
    from stream.sources.raw import RawSource

    return RawSource(channel=channel_of(settings.channel))


SOURCES: dict[str, Callable[[StreamSettings, bool], AudioSource]] = {
    "mic": _microphone,
    "demo": _demo,
    "push": _pushed,
    "none": _none,
    "-": _standard_input,
}
"""What `--source` may name besides a file: how each is opened, with a page to look at or not."""
