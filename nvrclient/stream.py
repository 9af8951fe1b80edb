"""What live streams and playbacks have in common: how they are opened and closed, narrowed and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from nvrclient.frames import AudioFrame, Discontinuity, StreamItem, VideoFrame

_T = TypeVar("_T")


class Openable(ABC):
    """Opened and closed by ``async with``; or opened by ``await`` and closed by `aclose`, perhaps in another task."""

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is neither pickled nor copied; open another where it is needed"
        )

    @abstractmethod
    async def _open(self) -> Self: ...

    @abstractmethod
    async def aclose(self) -> None:
        """Close it; safe to repeat."""

    async def __aenter__(self) -> Self:
        return await self._open()

    def __await__(self) -> Generator[object, None, Self]:
        return self._open().__await__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class Items(Protocol):
    """Where a stream's items come from."""

    async def get(self) -> StreamItem:
        """Return the next item; StopAsyncIteration at the end."""
        ...

    def uncount(self) -> None:
        """The item just got is left out by the consumer's own choice: it counts as dropped."""
        ...


class Narrowed(Generic[_T]):
    """A stream narrowed to one type of item."""

    def __init__(self, stream: Openable, items: Items, kind: type[_T]) -> None:
        self._stream = stream  # it lives as long as somebody iterates it
        self._items = items
        self._kind = kind

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        while True:
            item = await self._items.get()
            if isinstance(item, self._kind):
                return item
            if not isinstance(item, Discontinuity):
                self._items.uncount()


class ItemStream(Openable):
    """An Openable to iterate, whole or narrowed; iterating one that is not open is a RuntimeError."""

    @abstractmethod
    def _opened(self) -> Items: ...

    def __aiter__(self) -> Self:
        self._opened()
        return self

    async def __anext__(self) -> StreamItem:
        return await self._opened().get()

    def video(self) -> Narrowed[VideoFrame]:
        """Iterate the pictures alone; audio and discontinuities are left out."""
        return Narrowed(self, self._opened(), VideoFrame)

    def audio(self) -> Narrowed[AudioFrame]:
        """Iterate the audio alone; pictures and discontinuities are left out."""
        return Narrowed(self, self._opened(), AudioFrame)


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What a stream received and what became of it, since it was opened.

    | field | meaning |
    |---|---|
    | packets, bytes | RTP packets and parts, as they came |
    | frames_received | = frames_delivered + frames_queued + sum(dropped.values()), at every moment |
    | dropped | frames not given, by reason |
    | lost, reordered, late, duplicates | RTP packets, by sequence number |
    | malformed | packets, payloads and parts that could not be used |
    | ignored | packets and parts that belong to no track, or to another camera, by reason |
    | foreign | datagrams from others than the recorder |
    | kernel_dropped | datagrams the kernel dropped for want of buffer; None over HTTP, or where it does not say |
    | ssrc_changes, reconnects | new senders; times the stream was brought back |
    | stalls | of these, because it had fallen silent |
    | bytes_queued | payload waiting for the consumer |
    | last_frame_age | seconds since the last picture was complete; None before the first |
    | transport, fallback | "http" or "udp"; why "auto" left UDP, or None |
    | audio_problem | why there is no audio although it was asked for, or None |
    """

    packets: int = 0
    bytes: int = 0
    frames_received: int = 0
    frames_delivered: int = 0
    frames_queued: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    reordered: int = 0
    late: int = 0
    duplicates: int = 0
    malformed: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict[str, int])
    foreign: int = 0
    kernel_dropped: int | None = None
    ssrc_changes: int = 0
    reconnects: int = 0
    stalls: int = 0
    bytes_queued: int = 0
    last_frame_age: float | None = None
    transport: str | None = None
    fallback: str | None = None
    audio_problem: str | None = None
