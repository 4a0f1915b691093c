"""Sound on its way to the server, piece by piece; each is taken before the next is sent."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from posetalk.client.events import RequestError
from posetalk.client.exchange import Exchange
from stream.frames import SAMPLE_RATE
from stream.sources.pcm import mono, to_float
from stream.wire import codec, messages

Samples: TypeAlias = NDArray[np.floating[Any]] | NDArray[np.int16]

PIECE_SECONDS = 0.5
RETRY_SECONDS = 0.1


async def push(exchange: Exchange, samples: Samples, sample_rate: int, wait: bool) -> None:
    """Push sound; see `AsyncClient.push`."""
    whole = mono(to_float(samples))
    if exchange.keeping.session is not None:
        await _push_kept(exchange, exchange.keeping.at_one_rate(whole, sample_rate), wait)
        return
    await agree_on(exchange, sample_rate)
    step = max(1, int(PIECE_SECONDS * sample_rate))
    for start in range(0, len(whole), step):
        number, exchange.number = exchange.number, exchange.number + 1
        piece = codec.Message(codec.Kind.PCM, number, 0, whole[start : start + step])
        while not await _is_taken(exchange, codec.serialise(piece), wait):
            await asyncio.sleep(RETRY_SECONDS)


async def push_rest(exchange: Exchange) -> None:
    """Push what is held back of a session that is kept: the utterance is over."""
    if exchange.keeping.session is not None:
        await _push_kept(exchange, exchange.keeping.rest(), wait=True)


async def agree_on(exchange: Exchange, sample_rate: int) -> None:
    """Tell the server the rate of the sound that follows, where it is another; raises as `ask`."""
    if sample_rate != exchange.rate:
        exchange.rate = 0  # the server takes nothing until it knows the format
        await exchange.ask(codec.serialise_text(messages.AudioFormat(int(sample_rate))))
        exchange.rate = sample_rate


async def _push_kept(exchange: Exchange, samples: NDArray[np.float32], wait: bool) -> None:
    """Push (n,) at 16 kHz; what is lost on the way with its server comes back with the session."""
    step = int(PIECE_SECONDS * SAMPLE_RATE)
    for start in range(0, len(samples), step):
        piece = samples[start : start + step]
        while True:
            await exchange.wait_until_up()
            number, exchange.number = exchange.number, exchange.number + 1
            if exchange.keeping.session is not None:
                exchange.keeping.session.pushed(number, piece)
            message = codec.serialise(codec.Message(codec.Kind.PCM, number, 0, piece))
            if await _is_taken(exchange, message, wait, place=number):
                break
            await asyncio.sleep(RETRY_SECONDS)


async def _is_taken(
    exchange: Exchange, message: bytes, wait: bool, *, place: int | None = None
) -> bool:
    """Ask the server to take a piece; False: it is full, and there is time to `wait`."""
    try:
        await exchange.ask(message, place=place)
        return True
    except RequestError as error:
        if error.code != "audio_full" or not wait:
            raise
        return False
