"""The network: HTTP(S) by httpx, RTP by UDP."""
