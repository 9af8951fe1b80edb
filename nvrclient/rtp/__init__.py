"""RTP (RFC 3550) without sockets: packets, their order, their time."""
