"""What waits to be sent to one client: queues bounded in messages and in bytes, newest wins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream.frames import Frame
from stream.serve.frame_encoder import Sound

MOTION_QUEUE = 64  # frames, 2.6 s
AUDIO_QUEUE = 200  # blocks of about 20 ms, 4 s
EARLY_QUEUE = 2_000  # frames and blocks of a client's own session, which come ahead of time
TEXT_QUEUE = 64
TEXT_BYTES = 1 << 16
AUDIO_BYTES = 1 << 19
EARLY_BYTES = 5 << 20  # a minute, and what was pushed while it was sent
FRAME_BYTES = 512  # about, of a frame in memory

Item = TypeVar("Item")


class Queue(Generic[Item]):
    """A queue from which the oldest goes when it holds too much.

    Args:
        messages, size: that it may hold: items and bytes; the newest is kept whatever its size.
        size_of: bytes of an item.
    """

    def __init__(self, messages: int, size: int, size_of: Callable[[Item], int]) -> None:
        self.messages, self.size = messages, size
        self._size_of = size_of
        self._items: deque[Item] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> int:
        """Add one; how many had to go for it."""
        self._items.append(item)
        self.bytes += self._size_of(item)
        gone = 0
        while len(self._items) > 1 and (len(self._items) > self.messages or self.bytes > self.size):
            self.take()
            gone += 1
        return gone

    def take(self) -> Item:
        """The oldest one; raises IndexError where there is none."""
        item = self._items.popleft()
        self.bytes -= self._size_of(item)
        return item

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self.bytes = 0

    def keep(self, wanted: Callable[[Item], bool]) -> None:
        """Forget those that are not wanted."""
        kept = [item for item in self._items if wanted(item)]
        self._items = deque(kept)
        self.bytes = sum(map(self._size_of, kept))


@dataclass(frozen=True)
class Batch:
    """What is to be sent next: bytes or text as they are, or a frame that is to be encoded."""

    data: bytes | str | None = None
    frame: Frame | None = None


class Outbox:
    """All that waits for one client: texts first, then triangles, audio and frames.

    Attributes:
        last: what is sent after all of it; None: it goes on.
    """

    def __init__(self) -> None:
        self.texts: Queue[str] = Queue(TEXT_QUEUE, TEXT_BYTES, len)
        self.faces: deque[bytes] = deque()  # shared by all who get them
        self.audio: Queue[Sound] = Queue(AUDIO_QUEUE, AUDIO_BYTES, lambda sound: sound.bytes)
        self.frames: Queue[Frame] = Queue(MOTION_QUEUE, EARLY_BYTES, lambda _: FRAME_BYTES)
        self.last: str | None = None

    def __bool__(self) -> bool:
        waiting = self.texts or self.faces or self.audio or self.frames
        return bool(waiting) or self.last is not None

    def begin(self, *, early: bool) -> None:
        """Forget what waits: from here on other frames come, ahead of their time or in it."""
        self.audio.messages = EARLY_QUEUE if early else AUDIO_QUEUE
        self.audio.size = EARLY_BYTES if early else AUDIO_BYTES
        self.frames.messages = EARLY_QUEUE if early else MOTION_QUEUE
        self.audio.clear()
        self.frames.clear()

    def show(self, faces: Iterable[bytes]) -> None:
        """Other triangles."""
        self.faces = deque(faces)

    def cut(self, sample: int) -> None:
        """Forget frames and audio from `sample` on."""
        self.frames.keep(lambda frame: frame.sample < sample)
        self.audio.keep(lambda sound: sound.start < sample)

    def clear(self) -> None:
        """Forget everything."""
        self.faces.clear()
        for queue in (self.texts, self.audio, self.frames):
            queue.clear()

    def take(self) -> Batch | None:
        """What is to be sent next, before the last; None: nothing waits."""
        if self.texts:
            return Batch(self.texts.take())
        if self.faces:
            return Batch(self.faces.popleft())
        if self.audio:
            return Batch(self.audio.take().data)
        if self.frames:
            return Batch(frame=self.frames.take())
        return None
