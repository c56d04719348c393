"""One terminal of the fleet bench: a socket, TLS, one control stream, and what it does when that ends."""

import secrets
import selectors
import socket
import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic
from typing import TYPE_CHECKING, Final

from bench import http2
from bench.terminals import Identity
from mock_terminal.client import jittered
from mock_terminal.connection import FIRST_PAUSE, LONGEST_PAUSE
from shualian.terminal.v1 import device_pb2

if TYPE_CHECKING:
    from bench.holders import Holder

PATH: Final = "/shualian.terminal.v1.DeviceService/Connect"
CONNECT_SECONDS_MAX: Final = 20.0
REFUSED: Final = frozenset({7, 9, 16})  # PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED
_READ_BYTES: Final = 65_536


class HeldTerminal:
    """Connects, stays, and comes back."""

    __slots__ = (
        "_context", "_data", "_holder", "_identity", "_interval", "_is_new", "_is_refused", "_is_welcome",
        "_pause", "_received", "_sequence", "_socket", "_visit",
    )  # fmt: skip

    def __init__(self, holder: "Holder", identity: Identity) -> None:
        self._holder = holder
        self._identity = identity
        self._context = context_of(holder.party.root_pem, identity)
        self._socket: socket.socket | None = None
        self._received, self._data = bytearray(), bytearray()
        self._is_new, self._is_welcome, self._is_refused = True, False, False
        self._pause = FIRST_PAUSE
        self._interval = 0.0
        self._sequence = 0
        self._visit = 0
        """Counts connections, so that a moment set for an earlier one means nothing to a later one."""

    def connect(self) -> None:
        """Begin a connection."""
        self._holder.count.attempts += 1
        self._visit += 1
        visit = self._visit
        self._holder.at(monotonic() + CONNECT_SECONDS_MAX, lambda: self._give_up(visit))
        self._socket = socket.socket()
        self._socket.settimeout(0)  # never waits
        self._socket.connect_ex(_address(self._holder.party.target))
        self._holder.selector.register(self._socket, selectors.EVENT_WRITE, self._connected)

    def call_back(self) -> None:
        """Come again after a refusal."""
        if self._is_refused:
            self._is_refused = False
            self.connect()

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is None:
            return
        self._holder.selector.unregister(self._socket)
        self._socket.close()
        self._socket = None
        self._received.clear()
        self._data.clear()
        self._holder.count.connected -= self._is_welcome
        self._is_welcome = False

    def _give_up(self, visit: int) -> None:
        if visit == self._visit and self._socket is not None and not self._is_welcome:
            self._lost("TIMEOUT")

    def _connected(self) -> None:
        """Begin TLS on a connection that stands, or learn that nobody listens."""
        plain = self._socket
        if plain is None:
            return
        if plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost("NOBODY_THERE")
            return
        self._holder.selector.unregister(plain)
        host = _address(self._holder.party.target)[0]
        self._socket = self._context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self._holder.selector.register(self._socket, selectors.EVENT_READ, self._shake_hands)
        self._shake_hands()

    def _shake_hands(self) -> None:
        secured = self._socket
        if not isinstance(secured, ssl.SSLSocket):
            return
        try:
            secured.do_handshake()
            hello = device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="bench"))
            hello.hello.terminal_time.FromDatetime(datetime.now(UTC))
            secured.send(http2.opening(self._holder.party.target, PATH) + http2.message(hello.SerializeToString()))
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            self._lost(type(error).__name__)
            return
        self._holder.selector.modify(secured, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        try:
            while self._socket is not None:
                taken = self._socket.recv(_READ_BYTES)
                if not taken:
                    self._lost("CLOSED")
                    return
                self._received += taken
        except ssl.SSLWantReadError:
            self._take_frames()
        except OSError as error:
            self._take_frames()
            self._lost(type(error).__name__)

    def _take_frames(self) -> None:
        for frame in http2.frames_in(self._received):
            if self._socket is None:
                return
            if answer := frame.answer:
                self._send(answer)
            if frame.type == http2.Type.DATA:
                self._data += frame.payload
                for body in http2.messages_in(self._data):
                    self._take(device_pb2.ConnectResponse.FromString(body))
            if frame.ends_stream:
                self._ended(frame.status)

    def _take(self, message: device_pb2.ConnectResponse) -> None:
        match message.WhichOneof("message"):
            case "welcome":
                self._welcome(message.welcome.heartbeat_interval.ToTimedelta().total_seconds())
            case "goodbye":
                self._send(http2.half_close())
                self._come_back_in(message.goodbye.reconnect_after.ToTimedelta().total_seconds())

    def _welcome(self, interval: float) -> None:
        standing, now = self._holder.count, monotonic()
        self._is_welcome, self._interval, self._sequence = True, interval, 0
        self._pause = FIRST_PAUSE
        standing.connected += 1
        standing.welcomed_at = now
        visit = self._visit
        # At any moment of the interval, so that a fleet that came at once does not beat at once.
        self._holder.at(now + secrets.randbelow(1000) * interval / 1000, lambda: self._beat(visit))
        if self._is_new:
            self._is_new = False
            self._holder.let_next_in()

    def _beat(self, visit: int) -> None:
        if visit != self._visit or not self._is_welcome:
            return
        self._sequence += 1
        heartbeat = device_pb2.Heartbeat(
            sequence=self._sequence, camera_state=device_pb2.CAMERA_STATE_READY, temperature_celsius=40.0
        )
        heartbeat.terminal_time.FromDatetime(datetime.now(UTC))
        self._send(http2.message(device_pb2.ConnectRequest(heartbeat=heartbeat).SerializeToString()))
        self._holder.at(monotonic() + self._interval, lambda: self._beat(visit))

    def _send(self, data: bytes) -> None:
        """Send a few bytes; a peer that does not even take these is lost, which the next read tells."""
        if self._socket is not None:
            try:
                self._socket.send(data)
            except OSError:
                return

    def _ended(self, status: int | None) -> None:
        if self._socket is None:  # it said goodbye before
            return
        if status in REFUSED:
            self._is_refused = True
            self._holder.count.refused[self._identity.terminal_id] = monotonic()
            self.hang_up()
        else:
            self._lost(f"STATUS_{status}")

    def _lost(self, why: str) -> None:
        failures = self._holder.count.failures
        failures[why] = failures.get(why, 0) + 1
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        self._come_back_in(jittered(pause))

    def _come_back_in(self, seconds: float) -> None:
        self.hang_up()
        visit = self._visit
        self._holder.at(monotonic() + seconds, lambda: self.connect() if visit == self._visit else None)


@cache
def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host, int(port)


def context_of(root_pem: bytes, identity: Identity) -> ssl.SSLContext:
    """Return what one terminal shakes hands with; Python reads keys from files alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root_pem.decode())
    context.set_alpn_protocols(["h2"])
    with NamedTemporaryFile(prefix="shualian-bench-", delete=False) as file:
        path = Path(file.name)
        file.write(identity.key_pem + identity.chain_pem)
    try:
        context.load_cert_chain(path)
    finally:
        path.unlink()
    return context
