"""`posetalk serve` in a process of its own, to be attacked, and what it takes meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attacks.watcher import Address
from benchmarks.harness.processes import BenchmarkError, end, resident_mb
from stream.backends.names import BackendName

START_SECONDS = 180.0


class ServeProcess:
    """`posetalk serve` in a process of its own; what it prints is kept.

    Args:
        backend: of its model.
        guarded: with TLS and a token.
        folder: for its certificate.
    """

    def __init__(self, backend: BackendName, guarded: bool, folder: Path) -> None:
        token = secrets.token_urlsafe() if guarded else ""
        options = ["--source", "push", "--backend", backend, "--port", "0", "--sessions", "4"]
        if guarded:
            options += ["--tls-cert", str(_certificate(folder))]
        variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        variables.pop("POSETALK_TOKEN", None)
        if token:
            variables["POSETALK_TOKEN"] = token
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "posetalk", "serve", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
            start_new_session=os.name != "nt",
        )
        self.lines: list[str] = []
        self.token = token
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._serving.wait(START_SECONDS) or self.process.poll() is not None:
            self.process.kill()
            raise BenchmarkError(f"the server did not start: {' '.join(self.lines[-3:])}")
        found = re.search(r"127\.0\.0\.1:(\d+)", self.lines[-1])
        assert found is not None, "it says where it serves"
        self.port = int(found[1])
        self.address = Address(f"{'wss' if guarded else 'ws'}://127.0.0.1:{self.port}", token)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if "serving at" in line:
                self._serving.set()
        self._serving.set()

    @property
    def megabytes(self) -> float:
        """Resident; 0 where that is hidden."""
        return resident_mb(self.process.pid) or 0.0

    def __enter__(self) -> ServeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process, 10.0)
        self._reader.join(5.0)
        assert self.process.stderr is not None
        self.process.stderr.close()


def _certificate(folder: Path) -> Path:
    """A certificate for this machine and a day, with its key in the same file."""
    made = folder / "certificate.pem"
    key = folder / "key.pem"
    try:
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=localhost",
                "-keyout",
                str(key),
                "-out",
                str(made),
            ],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"no certificate for TLS: openssl is needed ({error})") from None
    made.write_text(made.read_text() + key.read_text())
    return made


@dataclass
class Meter:
    """The height of a server's memory while it runs, and the websockets that it had."""

    server: ServeProcess
    height: float = 0.0
    clients: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure ten times a second."""
        done = threading.Event()

        def measure() -> None:
            while not done.wait(0.1):
                self.height = max(self.height, self.server.megabytes)

        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
