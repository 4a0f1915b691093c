"""The gRPC server: a port and a thread of its own, beside the server of websockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

from stream.serve.a2f import messages
from stream.serve.a2f.service import Service, ServiceContext
from stream.serve.listener import ServerError

log = logging.getLogger(__name__)

DEFAULT_PORT = 52000
"""Where NVIDIA's own service listens."""
MESSAGE_BYTES = 4 << 20
"""Two minutes of sound at 16 kHz."""
MOST_CONNECTIONS = 128
"""At once; gRPC turns others away, so that the server's own port keeps its files."""
IDLE_SECONDS = 10
"""That a connection without a call may last."""
STOP_SECONDS = 0.8
SERVING = b"\x08\x01"
"""A `grpc.health.v1.HealthCheckResponse` that says so."""
OPTIONS = (
    ("grpc.so_reuseport", 0),  # another server's port is not ours to share
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_metadata_size", 1 << 14),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: a certificate, its private key, and what clients' certificates are signed by.

    Attributes:
        key: None: in the certificate's file.
        client_ca: None: clients need no certificate.
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None


class A2FServer:
    """Serves Audio2Face-3D's `ProcessAudioStream`; a context manager.

    Args:
        host: what its calls need.
        address: to listen on; as the server of websockets, loopback unless there is a token.
        port: 0 takes a free one.
        tls: None: plain.

    Attributes:
        port: that it listens on, once started.
    """

    def __init__(
        self,
        host: ServiceContext,
        address: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        tls: TlsFiles | None = None,
    ) -> None:
        self.host, self.address, self.port = host, address, port
        self._tls = tls
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="a2f-server", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect, as NVIDIA's plug-ins want it."""
        name = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self._tls else 'http'}://{name}:{self.port}"

    def start(self) -> Self:
        """Listen; returns once clients can connect.

        Raises:
            stream.serve.listener.ServerError: the port is taken, or there is no such address.
            OSError: a file of the certificate cannot be read.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def close(self) -> None:
        """Let clips that are nearly done end, and stop."""
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # it is closed already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(2 * STOP_SECONDS + 1.0)
        if self._thread.is_alive():
            log.warning("the Audio2Face server did not stop in time")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        limits = self.host.limits
        server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=2 * limits.clients)
        messages.add_to_server(Service(self.host), server)
        server.add_generic_rpc_handlers((_health(),))
        self._bind(server)
        self.host.filters.prepare()
        await server.start()
        self._ready.set()
        await self._stop.wait()
        await server.stop(STOP_SECONDS)

    def _bind(self, server: Any) -> None:
        """Listen on the port; raises as `start` says."""
        place = f"[{self.address}]" if ":" in self.address else self.address
        name = f"{place}:{self.port}"
        credentials = None if self._tls is None else _credentials(self._tls)
        try:
            if credentials is None:
                port = server.add_insecure_port(name)
            else:
                port = server.add_secure_port(name, credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise ServerError(
                f"cannot serve Audio2Face on {name}: is the port in use? "
                "Choose another one with --a2f PORT"
            )
        self.port = port


def _credentials(tls: TlsFiles) -> Any:
    certificate = tls.certificate.read_bytes()
    key = certificate if tls.key is None else tls.key.read_bytes()
    ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([(key, certificate)], ca, ca is not None)


def _health() -> Any:
    """The handler of gRPC's usual health checks, which need no token: it is well.

    The package for it binds protobuf to an old version, and all it would say are two bytes.
    """

    async def check(request: bytes, context: Any) -> bytes:
        return SERVING

    method = grpc.unary_unary_rpc_method_handler(check)
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
