"""A session goes on elsewhere when its server is lost: no frame twice, none missing, no jump."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import numpy as np
import pytest
from numpy.typing import NDArray
from switch import Switch
from two_servers import KEY, replica

from posetalk import AsyncClient
from posetalk.client import ClientFrame, ClientSound, ConnectionFailed, RequestError, coming_back
from posetalk.client.kept import KeptSession
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from stream.run.push.resumed import MOST_AHEAD, Past
from stream.serve.tickets import Signer, Ticket, TicketError
from stream.wire import codec, messages, session_messages
from viewer.client.link import Link

SPEECH = (0.3 * np.sin(np.arange(6 * SAMPLE_RATE) / 12)).astype(np.float32)
SPEECH *= np.sin(np.arange(len(SPEECH)) / 4000) ** 2


async def frames_of(client: AsyncClient, count: int) -> list[ClientFrame]:
    """The next frames."""
    found: list[ClientFrame] = []
    async for frame in client.frames():
        found.append(frame)
        if len(found) == count:
            break
    return found


def check_gapless(frames: list[ClientFrame]) -> None:
    """Every index once, none missing."""
    samples = [frame.sample for frame in frames]
    assert samples == list(range(samples[0], samples[0] + 640 * len(samples), 640))


@pytest.mark.parametrize("set", ["flame", "arkit52"])
def test_a_lost_server_costs_one_reconnect(set: str) -> None:
    async def run() -> None:
        with ExitStack() as open_:
            first, second = (open_.enter_context(replica()) for _ in range(2))
            switch = open_.enter_context(Switch(first.port))
            async with AsyncClient(switch.url, set=set, audio=True) as client:
                opened = await client.open(seed=3, resume=True)
                assert opened.ticket
                await client.guidance(audio=1.2)  # the ticket that counts is the newest
                await client.push(SPEECH[:48000])
                before = await frames_of(client, 40)
                switch.cut(second.port)
                await client.push(SPEECH[48000:])  # while it is away
                await client.flush()
                after = await frames_of(client, 100)
                check_gapless([*before, *after])
                jaw = np.array(
                    [
                        frame["jawOpen" if set == "arkit52" else "jawX"]
                        for frame in [*before, *after]
                    ]
                )
                assert np.ptp(jaw[45:]) > 0.05, "it speaks on"
                step = abs(jaw[40] - jaw[39])
                assert step < 0.35 * max(np.ptp(jaw), 0.1), "eased from the frame that was there"
                assert first.counts.sessions <= 1 and second.counts.sessions == 1

    asyncio.run(run())


def test_the_sound_comes_back_once() -> None:
    """What was heard is not heard again, and speech that was cut stays cut."""

    async def run() -> None:
        with ExitStack() as open_:
            first, second = (open_.enter_context(replica()) for _ in range(2))
            switch = open_.enter_context(Switch(first.port))
            async with AsyncClient(switch.url, audio=True) as client:
                await client.open(seed=3, resume=True)
                await client.push(SPEECH[:32000])
                heard: list[ClientSound] = []
                cut = False
                async for event in client.events():
                    if isinstance(event, ClientSound):
                        heard.append(event)
                    total = sum(len(sound.samples) for sound in heard)
                    if total > 16000 and not cut:
                        cut = True
                        switch.cut(second.port)
                    if total > 40000:
                        break
                end = heard[0].sample
                for sound in heard:
                    assert sound.sample == end, "no sample twice, none left out"
                    end += len(sound.samples)
                whole = np.concatenate([sound.samples for sound in heard])
                start = int(np.argmax(np.abs(whole) > 0))
                shift = np.argmax(np.abs(SPEECH) > 0)
                said = whole[start : start + 30000]
                np.testing.assert_array_equal(said, SPEECH[shift : shift + 30000])

    asyncio.run(run())


def test_a_full_replica_is_asked_again_and_a_strange_ticket_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        with ExitStack() as open_:
            first, full = (open_.enter_context(replica(capacity=1)) for _ in range(2))
            other = open_.enter_context(replica(key=b"of another deployment"))
            switch = open_.enter_context(Switch(first.port))
            holder = await AsyncClient(full.url).connect()
            await holder.open()
            client = await AsyncClient(switch.url).connect()
            await client.open(resume=True)
            await client.push(SPEECH[:16000])
            before = await frames_of(client, 5)
            switch.cut(full.port)
            await asyncio.sleep(0.5)
            await holder.close()
            check_gapless([*before, *await frames_of(client, 20)])
            switch.cut(other.port)
            with pytest.raises(RequestError, match="ticket is of another deployment"):
                await frames_of(client, 10_000)
            await client.close()

    asyncio.run(run())


def test_nobody_there_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming_back, "GIVE_UP_SECONDS", 0.5)

    async def run() -> None:
        with replica() as first, Switch(first.port) as switch:
            async with AsyncClient(switch.url) as client:
                await client.open(resume=True)
                switch.cut(0)
                with pytest.raises(ConnectionFailed, match="connect by the address of the deplo"):
                    await frames_of(client, 10_000)

    asyncio.run(run())


def test_tickets_are_signed_and_grow_old() -> None:
    signer, request = (
        Signer(KEY),
        session_messages.Open(style="calm", seed=7, shape=[0.5], alive=False),
    )
    text = signer.write(Ticket(request, 1000.0, 2000.0))
    assert signer.read(text, 1500.0) == Ticket(request, 1000.0, 2000.0)
    with pytest.raises(TicketError, match="too old"):
        signer.read(text, 2001.0)
    for bad in (text[:-8], "A" + text[1:], "", "?", "a" * 50_000, text + "é"):
        with pytest.raises(TicketError):
            signer.read(bad, 1500.0)
    with pytest.raises(TicketError, match="another deployment"):
        Signer(b"another key").read(text, 1500.0)


def test_what_a_client_keeps() -> None:
    kept = KeptSession("t")
    kept.pushed(0, SPEECH[:16000])
    kept.pushed(1, SPEECH[16000:32000])
    kept.placed(session_messages.Placed(0, 640))
    assert kept.pieces == 1 and list(kept.waiting) == [1] and kept.last == -1

    def frame(sample: int) -> ClientFrame:
        return ClientFrame("flame", 0, sample, np.zeros(56, np.float32), ())

    assert kept.new(frame(0)) is not None and kept.new(frame(0)) is None
    sound = kept.new(ClientSound(0, SPEECH[:1000]))
    assert isinstance(sound, ClientSound)
    rest = kept.new(ClientSound(500, SPEECH[:1000]))
    assert isinstance(rest, ClientSound) and (rest.sample, len(rest.samples)) == (1000, 500)
    assert kept.new(ClientSound(0, SPEECH[:1000])) is None
    kept.new(frame(6400))
    kept.cut(3200)  # what lies beyond is void, and comes again
    assert kept.last == 0 and kept.new(frame(3200)) is not None
    kept.placed(session_messages.Placed(1, 3200))
    for sample in range(3840, 60 * 640, 640):
        kept.new(frame(sample))
    assert kept.pieces == 1, "what lies two seconds back is not needed any more"


def test_what_is_brought_has_limits() -> None:
    """Neither memory nor a number that is none comes in by a ticket."""

    async def run() -> None:
        with replica() as server:
            async with AsyncClient(server.url) as client:
                ticket = (await client.open(resume=True)).ticket
            assert ticket is not None
            piece = codec.serialise(codec.Message(codec.Kind.PCM, 0, 0, np.zeros(160_000, "f4")))
            for request, sound, line in (
                (
                    session_messages.Resume(ticket, 640, "flame", [1e200] * 56),
                    0,
                    "`values` are at most",
                ),
                (session_messages.Resume(ticket, 2**62), 0, "a time that has not come"),
                (session_messages.Resume(ticket, pieces=2001), 0, "at most 2000 pieces"),
                (session_messages.Resume(ticket, pieces=50), 10, "at most 90 s of a session"),
            ):
                link = await Link.open(server.url)
                await link.send(codec.serialise_text(request))
                for _ in range(sound):
                    await link.send(piece)
                while not isinstance(error := await link.receive(), messages.Error):
                    pass
                assert line in error.message and not error.fatal
                await link.close()

    asyncio.run(run())


def test_another_rate_goes_on_as_well() -> None:
    """Sound is pushed at 16 kHz, whatever it was, and the server's format with it."""

    async def run() -> None:
        with ExitStack() as open_:
            first, second = (open_.enter_context(replica()) for _ in range(2))
            switch = open_.enter_context(Switch(first.port))
            async with AsyncClient(switch.url, audio=True) as client:
                await client.open()
                await client.push(SPEECH[:2400], 24000)
                await client.open(resume=True)
                await client.push(SPEECH[:24000], 24000)
                before = await frames_of(client, 10)
                switch.cut(second.port)
                await client.push(SPEECH[24000:48000], 24000)
                await client.flush()
                check_gapless([*before, *await frames_of(client, 50)])

    asyncio.run(run())


def laid(past: Past) -> tuple[int, NDArray[np.float32]]:
    return past.base, past.laid()


def test_what_is_heard_again() -> None:
    none = Past(-1, [], 0.0)
    assert (none.first, none.base, len(none.laid())) == (0, 0, 0)
    at = 5 * SAMPLE_RATE
    past = Past(at, [(at - 3 * SAMPLE_RATE, SPEECH[: 2 * SAMPLE_RATE])], 5.2)
    assert past.first == at + FRAME_SAMPLES and past.base == past.first - 2 * SAMPLE_RATE
    base, sound = laid(past)
    assert base % FRAME_SAMPLES == 0 and len(sound) == int(5.2 * SAMPLE_RATE) - base
    said = at - SAMPLE_RATE - base  # of the speech that ended a second before
    skipped = base - (at - 3 * SAMPLE_RATE)
    np.testing.assert_array_equal(sound[:said], SPEECH[skipped : 2 * SAMPLE_RATE])
    assert not sound[said:].any()
    with pytest.raises(ValueError, match="at most 90 s"):
        Past(0, [(MOST_AHEAD, SPEECH)], 1.0).laid()
