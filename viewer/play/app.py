"""Watch a server: `view(url)` puts client, play-out, skinning, window and recording together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from viewer.client.watching import ClientThread, ViewerClient
from viewer.play.film import Film
from viewer.play.speaker import Loudspeaker, SpeakerError
from viewer.play.watch import Shown, Status, StopCondition, Watch
from viewer.render import gl

if TYPE_CHECKING:
    from head.model import Head

__all__ = ["Mode", "Status", "choose_mode", "default_recording", "view"]

logger = logging.getLogger(__name__)

Mode = Literal["auto", "window", "offscreen"]


def choose_mode(mode: Mode) -> Shown:
    """What "auto" means here: a window where there is a display."""
    if mode == "auto":
        return "window" if gl.display_available() else "offscreen"
    return mode


def default_recording(*, transparent: bool = False) -> Path:
    """Name of a recording that nobody named: posetalk-DATE-TIME.mp4 in the working folder.

    A transparent one is a .webm.
    """
    ending = "webm" if transparent else "mp4"
    return Path(f"posetalk-{datetime.now():%Y%m%d-%H%M%S}.{ending}")


def view(
    url: str,
    mode: Mode = "auto",
    record: str | Path | None = None,
    seconds: float | None = None,
    *,
    film: Film | None = None,
    head: Head | None = None,
    delay: float | None = None,
    reconnect: bool = True,
    start_timeout: float = 10.0,
    sound: bool = False,
    token: str | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = logger.info,
    on_status: Callable[[Status], None] | None = None,
) -> Status:
    """Watch the server at `url` until it ends, `seconds` have passed, `stop` is set or Ctrl-C.

    A window needs the main thread. Off-screen always records: to `record`, or to a file in the
    working folder that `say` names. `film` is how window and recording look, `delay` the play-out
    delay in seconds (None: it adapts), `start_timeout` how many seconds to wait for a server that
    is not there yet. `sound` plays the server's audio with a window, where there is a loudspeaker.

    Raises:
        viewer.client.errors.ClientError: no server, another protocol, a refusal.
        viewer.play.player.PlayerError: the server's head is not here, or `head` is another.
        viewer.render.gl.GLError: nothing can draw here.
        viewer.play.video.VideoError: the recording cannot be written.
    """
    chosen, look = choose_mode(mode), film or Film()
    path = None if record is None else Path(record)
    if chosen == "offscreen" and path is None:
        path = default_recording(transparent=look.background.transparent)
    gl.load(window=chosen == "window")
    speaker = _open_speaker() if sound and chosen == "window" else None
    audio = path is not None or speaker is not None
    client = ViewerClient(
        url, audio=audio, reconnect=reconnect, start_timeout=start_timeout, token=token
    )
    until = StopCondition(seconds, stop)
    with ClientThread(client) as thread:
        watch = Watch(thread, chosen, until, on_status, path, delay, look, speaker)
        try:
            hello = watch.wait_for_hello()
            if hello is not None:
                if record is None and path is not None:
                    say(f"no window: recording a video to {path.resolve()}")
                watch.set_head(hello, head)
                if chosen == "window":
                    watch.in_window()
                else:
                    watch.off_screen()
        except KeyboardInterrupt:
            logger.debug("interrupted")
        finally:
            watch.close()
    if chosen == "offscreen":
        watch.check_recording()
    return watch.status()


def _open_speaker() -> Loudspeaker | None:
    """The loudspeaker, or None: a face without sound is better than none."""
    try:
        return Loudspeaker()
    except SpeakerError as error:
        logger.info("%s", error)
        return None
