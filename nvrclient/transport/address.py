"""Where a recorder is: its URL, read."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx


@dataclass(frozen=True, slots=True)
class Address:
    """Where a recorder is: ``url`` without a slash at the end."""

    url: str
    scheme: str
    host: str
    port: int


def parse_address(url: str) -> Address:
    """Read the URL of a recorder. Raises ValueError that says what to write instead."""
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"url: a string, not {type(url).__name__}")
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("url: begin it with http:// or https://, as in https://192.0.2.10")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: give user name and password as arguments, not inside the URL")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("url: only scheme, host and port, as in https://192.0.2.10:443")
    try:
        port = parts.port
        host = httpx.URL(f"{parts.scheme}://{parts.netloc}").host
    except (ValueError, httpx.InvalidURL):
        raise ValueError("url: host or port cannot be read; write https://host:port") from None
    if not host:
        raise ValueError("url: it names no host")
    return Address(
        f"{parts.scheme}://{parts.netloc}",
        parts.scheme,
        host,
        port if port is not None else (443 if parts.scheme == "https" else 80),
    )
