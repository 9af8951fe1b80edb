"""RTP over UDP: a receiver that keeps up with the burst of a key frame.

asyncio reads one datagram a wake-up. When woken, this protocol drains its socket before it returns: a key frame of
300 packets is read in one go, not in 300 turns of the loop during which the kernel's buffer overflows.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from nvrclient.errors import ConnectionFailedError

logger = logging.getLogger("nvrclient.udp")

BUFFER_SIZE = 4 << 20
"""Bytes of socket buffer asked for: half a second of 64 Mbit/s."""

MAX_DATAGRAM = 65_536
"""Larger than any UDP datagram, so that none is ever cut."""

MAX_DRAIN = 256
"""Datagrams read in one go before the loop gets its turn: about 1 ms."""

PORT_TRIES = 16
"""Ports of a range that are tried before giving up."""

_SO_MEMINFO = 55  # asm-generic/socket.h
_DROPS = 8  # SK_MEMINFO_DROPS, index of the counter in it

_warned_about_buffer = False


class RtpReceiver(asyncio.DatagramProtocol):
    """Hears one recorder on one UDP port; every datagram of its address goes to `take(data)`.

    `take` returns whether the datagram was good. Datagrams of other addresses are counted as ``foreign``. `lock`
    ties the socket to where the last good one came from, so that the kernel drops strangers; a datagram from another
    port does so as well, once `is_proved()`. After a wake-up that took something, `taken()` is called once.
    """

    def __init__(
        self,
        peer: str,
        take: Callable[[bytes], bool],
        taken: Callable[[], None],
        is_proved: Callable[[], bool] = lambda: False,
    ) -> None:
        self.foreign = 0
        self.locked = False
        self._sealed = False  # locked, and nothing that came before the lock is left in the buffer
        self._peer = _plain(peer)
        self._take = take
        self._taken = taken
        self._is_proved = is_proved
        self._socket: socket.socket | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._buffer = bytearray(MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._good_address: Any = None
        self._drops_at_start = 0
        self._drops = 0
        self.port = 0

    async def open(self, host: str | None, ports: Iterable[int] | None) -> None:
        """Take a port: of `ports`, or of the system's choice; on `host`, or the wildcard of the peer's family.

        Raises ConnectionFailedError where none can be had.
        """
        family = socket.AF_INET6 if ":" in self._peer else socket.AF_INET
        self._socket = _bind(
            family, host or ("::" if family == socket.AF_INET6 else "0.0.0.0"), ports
        )
        self.port = self._socket.getsockname()[1]
        self._drops_at_start = self._drops = _kernel_drops(self._socket) or 0
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, sock=self._socket
            )
        except BaseException:
            self._socket.close()
            raise

    @property
    def kernel_dropped(self) -> int | None:
        """Datagrams that the kernel dropped for want of buffer, for good packets and strangers alike; None where it does not say."""
        if self._socket is not None and self._socket.fileno() >= 0:
            drops = _kernel_drops(self._socket)
            if drops is None:
                return None
            self._drops = drops
        return self._drops - self._drops_at_start

    def lock(self) -> None:
        """Hear only the address and port that the last good datagram came from."""
        if not self.locked and self._socket is not None and self._good_address is not None:
            with suppress(OSError):
                self._socket.connect(self._good_address)
                self.locked = True

    def close(self) -> None:
        """Free the port at once; safe to call twice."""
        _ = self.kernel_dropped  # remembered for the counters
        if self._transport is not None:
            self._transport.abort()
        self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is registered."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        if hasattr(
            transport, "max_size"
        ):  # asyncio's 256 KiB a read cost ten times the read itself
            cast("Any", transport).max_size = MAX_DATAGRAM

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """asyncio: one datagram; read all others that are waiting behind it."""
        took = self._sort(data, addr)
        sock = self._socket
        try:
            for _ in range(MAX_DRAIN if sock is not None else 0):
                assert sock is not None
                if self._transport is None:  # closed by what was taken
                    break
                if self._sealed:
                    size = sock.recv_into(self._buffer)
                    self._take(bytes(self._view[:size]))
                    took = True
                else:
                    size, address = sock.recvfrom_into(self._buffer)
                    took = self._sort(bytes(self._view[:size]), address) or took
        except (BlockingIOError, InterruptedError):
            self._sealed = self.locked
        except OSError:
            pass  # ICMP said something; packets may come all the same
        if took:
            self._taken()

    def error_received(self, exc: Exception) -> None:
        """asyncio: ICMP said something; packets may come all the same."""

    def _sort(self, data: bytes, address: Any) -> bool:
        if not self._sealed:
            if address is None or _plain(address[0]) != self._peer:
                self.foreign += 1
                return False
            if self._good_address not in {None, address} and (self.locked or self._is_proved()):
                self.lock()
                self.foreign += 1
                return False
            if self._take(data) and not self.locked:
                self._good_address = address
            return True
        self._take(data)
        return True


def _plain(address: str) -> str:
    """Return an IP address in one spelling: without zone, an IPv4 address in IPv6 clothes as IPv4."""
    address = address.partition("%")[0].lower()
    return address.removeprefix("::ffff:") if "." in address else address


def _bind(family: socket.AddressFamily, host: str, ports: Iterable[int] | None) -> socket.socket:
    tried: list[int] = []
    reason = ""
    for port in [0] if ports is None else ports:
        if len(tried) == PORT_TRIES:
            break
        tried.append(port)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            _enlarge(sock)
            sock.bind((host, port))
        except OSError as failure:
            sock.close()
            reason = failure.strerror or type(failure).__name__
        else:
            return sock
    where = f"ports {tried[0]}…{tried[-1]}" if ports is not None and tried else "a port"
    raise ConnectionFailedError(
        f"RTP over UDP: cannot bind {where} of {host} ({reason or 'no port given'});"
        " check rtp_host and rtp_ports"
    )


def _enlarge(sock: socket.socket) -> None:
    """Ask for a large buffer, and say once what the system gave instead."""
    global _warned_about_buffer  # noqa: PLW0603  said once a process, like a warning
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_SIZE)
    granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux reports it doubled
    if granted < BUFFER_SIZE and not _warned_about_buffer:
        _warned_about_buffer = True
        logger.warning(
            "UDP receive buffer: asked for %d bytes, got %d; large key frames may lose packets."
            " On Linux: sysctl -w net.core.rmem_max=%d",
            BUFFER_SIZE,
            granted,
            BUFFER_SIZE,
        )


def _kernel_drops(sock: socket.socket) -> int | None:
    try:
        info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        return int(struct.unpack_from("=9I", info)[_DROPS])
    except (OSError, struct.error):
        return None
