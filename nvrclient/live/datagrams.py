"""What the UDP sockets of a live stream have counted, beside the packets themselves."""

from __future__ import annotations

from nvrclient.live.feed import Feed, UdpFeed


class Datagrams:
    """The sums over all feeds of one stream: the one at hand, which may be over HTTP, and those that are gone."""

    def __init__(self) -> None:
        self._feed: UdpFeed | None = None
        self._is_udp = False
        self._foreign = 0  # of feeds that are gone
        self._dropped = 0

    def begin(self, feed: Feed) -> None:
        """Count what this feed's sockets count."""
        self._feed = feed if isinstance(feed, UdpFeed) else None
        self._is_udp = self._feed is not None

    def end(self, feed: Feed) -> None:
        """Keep what a feed's sockets have counted: they are closed next."""
        if isinstance(feed, UdpFeed):
            for receiver in feed.receivers.values():
                self._dropped += receiver.kernel_dropped or 0
                self._foreign += receiver.foreign
        self._feed = None

    @property
    def foreign(self) -> int:
        """Datagrams from others than the recorder."""
        receivers = self._feed.receivers.values() if self._feed is not None else ()
        return self._foreign + sum(receiver.foreign for receiver in receivers)

    @property
    def dropped(self) -> int | None:
        """Datagrams that the kernel dropped for want of socket buffer; None: it does not say, or they are no datagrams."""
        if not self._is_udp:
            return None
        receivers = self._feed.receivers.values() if self._feed is not None else ()
        counts = [receiver.kernel_dropped for receiver in receivers]
        known = [count for count in counts if count is not None]
        return self._dropped + sum(known) if len(known) == len(counts) else None
