"""The server's half of digest authentication, against RFC 7616's own examples (section 3.9.1)."""

from __future__ import annotations

from random import Random

import pytest

from nvrclient.simulator.digest import DigestGuard, Verdict, _Nonce

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RESPONSES = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


def guard(algorithm: str) -> DigestGuard:
    made = DigestGuard(
        "Mufasa",
        "Circle of Life",
        Random(0),
        realm="http-auth@example.org",
        sha256=algorithm == "SHA-256",
    )
    made._nonces[NONCE] = _Nonce(0.0)
    return made


def credential(algorithm: str) -> str:
    return (
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        f'algorithm={algorithm}, nonce="{NONCE}", nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
        f'response="{RESPONSES[algorithm]}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )


@pytest.mark.parametrize("algorithm", RESPONSES)
def test_the_examples_of_the_rfc(algorithm: str) -> None:
    judge = guard(algorithm).judge
    answer = credential(algorithm)
    assert judge(answer, "GET", "/dir/index.html", 0) is Verdict.ACCEPTED
    assert judge(answer, "GET", "/dir/index.html", 0) is Verdict.REPLAYED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Digest ", "Basic "),
        ("Mufasa", "Scar"),
        ("http-auth@example.org", "elsewhere"),
        ("/dir/index.html", "/dir/other.html"),
        ("algorithm=MD5", "algorithm=SHA-256"),
        ("nc=00000001", "nc=1"),
        ("qop=auth", "qop=auth-int"),
        ("8ca523", "8ca524"),
        ("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", ""),
    ],
)
def test_anything_else_is_wrong(old: str, new: str) -> None:
    answer = credential("MD5").replace(old, new)
    assert guard("MD5").judge(answer, "GET", "/dir/index.html", 0) is Verdict.WRONG


def test_a_nonce_that_was_never_issued_is_stale() -> None:
    made = guard("MD5")
    made._nonces.clear()
    verdict = made.judge(credential("MD5"), "GET", "/dir/index.html", 0)
    assert verdict is Verdict.STALE
