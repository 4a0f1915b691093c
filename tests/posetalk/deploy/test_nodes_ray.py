"""Nodes and replicas that come and go, on a cluster of this machine: who speaks notices nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import posetalk
from benchmarks.scaling import cluster
from benchmarks.scaling.speakers import SpeakingClient, all_speak, speak_all

pytestmark = [
    pytest.mark.extra("ray"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]

SECONDS = 600.0


def until(done: Callable[[], bool], what: str) -> None:
    """Ray's own decisions take it half a minute and more."""
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def speak_while(
    url: str, count: int, happens: Callable[[list[SpeakingClient]], bool]
) -> list[SpeakingClient]:
    """Clients speak until `happens` is true, looked at once a second."""
    speakers = [SpeakingClient(number) for number in range(count)]
    looked, over = time.monotonic(), False

    def is_over() -> bool:
        nonlocal looked, over
        if not over and all_speak(speakers, 25) and time.monotonic() > looked + 1.0:
            looked, over = time.monotonic(), happens(speakers)
        return over or time.monotonic() > began + SECONDS

    began = time.monotonic()
    asyncio.run(speak_all(speakers, url, is_over, resume=True))
    assert over, "it did not happen"
    return speakers


def check_unmoved(speakers: list[SpeakingClient]) -> None:
    for speaker in speakers:
        assert speaker.error == "" and not speaker.moves
        assert (speaker.missing, speaker.repeated) == (0, 0)


def test_a_drained_node_keeps_who_speaks_and_takes_nobody_new() -> None:
    import ray

    wanted = cluster.settings_of("fake", 2, 8, 1)
    with cluster.nodes(2, 2), cluster.application(wanted) as url:
        cluster.wait_for_replicas(2)
        head = ray.get_runtime_context().get_node_id()
        [other] = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeID"] != head]
        before = set(cluster.replica_pids())
        began: list[float] = []

        def replaced(speakers: list[SpeakingClient]) -> bool:
            if not began:
                drain(other)
                began.append(time.monotonic())
            # One more has begun elsewhere, and nobody has ended.
            return len(cluster.replica_pids()) == 3 and time.monotonic() > began[0] + 20.0

        speakers = speak_while(url, 4, replaced)
        check_unmoved(speakers)
        assert before < set(cluster.replica_pids()), "those who spoke stayed"
        until(lambda: len(cluster.replica_pids()) == 2, "the drained node's replica did not end")
        assert len(before & set(cluster.replica_pids())) == 1
        with posetalk.Client(url, timeout=60.0) as client:
            client.open()


def drain(node: str) -> None:
    """What an operator does before a machine is taken away."""
    import ray

    command = [str(Path(sys.executable).parent / "ray"), "drain-node", "--node-id", node]
    command += ["--address", ray.get_runtime_context().gcs_address]
    command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "test"]
    command += ["--deadline-remaining-seconds", "3600"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_replicas_are_added_while_many_speak() -> None:
    wanted = replace(cluster.settings_of("fake", 1, 4, 1), most_replicas=2)
    with cluster.nodes(1, 2), cluster.application(wanted) as url:
        assert cluster.running_replicas() == 1
        speakers = speak_while(url, 4, lambda _: cluster.running_replicas() == 2)
        check_unmoved(speakers)


def test_serves_own_command_runs_the_application() -> None:
    """`serve run posetalk.deploy:app`, on a cluster that is there."""
    import ray
    from ray import serve

    port = cluster.free_port()
    with cluster.nodes(1, 2):
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        command = [str(Path(sys.executable).parent / "serve"), "run", "posetalk.deploy:app"]
        command += ["backend=fake", "replicas=2", "sessions=4", "--name", "posetalk"]
        command += ["--address", ray.get_runtime_context().gcs_address]
        process = subprocess.Popen(
            command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            until(
                lambda: cluster.running_replicas() == 2 or process.poll() is not None,
                "it did not run",
            )
            assert process.poll() is None, process.communicate()[1][-2000:]
            with posetalk.Client(f"ws://127.0.0.1:{port}", timeout=60.0) as client:
                client.open()
        finally:
            process.terminate()
            process.communicate()
            serve.shutdown()
