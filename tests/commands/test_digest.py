"""Digest authentication: RFC examples, other implementations, hostile challenges (docs/faults.md rows 1-4)."""

from __future__ import annotations

import os
import pickle
import string
import traceback
from urllib.request import parse_http_list, parse_keqv_list

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.commands.digest import (
    MAX_CHALLENGE_LENGTH,
    Challenge,
    authorization,
    parse_challenge,
)
from nvrclient.errors import AuthenticationError

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
"""The long form of the tests: three times the examples."""

# RFC 7616 §3.9.1
MUFASA = {
    "username": "Mufasa",
    "password": "Circle of Life",
    "method": "GET",
    "uri": "/dir/index.html",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}
CHALLENGE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def fields(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    assert scheme == "Digest"
    return parse_keqv_list(parse_http_list(rest))


def test_rfc_7616_section_3_9_1() -> None:
    for algorithm, response in (
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ):
        challenge = parse_challenge([CHALLENGE.format(algorithm)])
        header = authorization(challenge, nonce_count=1, **MUFASA)
        assert fields(header) == {
            "username": "Mufasa",
            "realm": "http-auth@example.org",
            "uri": "/dir/index.html",
            "algorithm": algorithm,
            "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "nc": "00000001",
            "cnonce": MUFASA["cnonce"],
            "qop": "auth",
            "response": response,
            "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
        }


def test_rfc_7616_section_3_9_2() -> None:
    """With the hashes of erratum 4897: those printed were made with truncated SHA-512."""
    challenge = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash='
    )
    for userhash, name in (
        ("true", ("username", "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b")),
        ("false", ("username*", "UTF-8''J%C3%A4s%C3%B8n%20Doe")),
    ):
        parsed = parse_challenge([challenge + userhash])
        assert parsed.charset == "UTF-8"
        header = authorization(
            parsed,
            username="J\u00e4s\u00f8n Doe",
            password="Secret, or not?",
            method="GET",
            uri="/doe.json",
            nonce_count=1,
            cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        )
        found = fields(header)
        assert (
            found["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
        )
        assert found[name[0]] == name[1]
        assert found.get("userhash") == ("true" if userhash == "true" else None)
        assert ("username" in found) != ("username*" in found)
        assert header.isascii()


def test_rfc_2617_section_3_5_and_rfc_2069() -> None:
    account = {
        "username": "Mufasa",
        "password": "Circle Of Life",
        "method": "GET",
        "uri": "/dir/index.html",
    }
    start = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    with_qop = parse_challenge(
        [start + ', qop="auth,auth-int", opaque="5ccc069c403ebaf9f0171e9517f40e41"']
    )
    found = fields(authorization(with_qop, nonce_count=1, cnonce="0a4f113b", **account))
    assert found["response"] == "6629fae49393a05397450978507c4ef1"
    assert found["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"
    assert "algorithm" not in found
    without = parse_challenge([start])
    assert without.qop is None
    found = fields(authorization(without, nonce_count=1, cnonce="0a4f113b", **account))
    assert found["response"] == "670fd8c2df070c60b045671b8b24ff02"
    assert set(found) == {"username", "realm", "nonce", "uri", "response"}


TEXT = st.text(
    string.ascii_letters + string.digits + " !#$%&'()*+,-./:;<=>?@[]^_{|}~", min_size=1, max_size=30
)


@settings(max_examples=400, deadline=None)
@given(
    realm=TEXT,
    nonce=TEXT,
    opaque=st.none() | TEXT,
    algorithm=st.sampled_from([None, "MD5", "MD5-sess", "SHA-256", "SHA-256-sess"]),
    qop=st.sampled_from([None, "auth", "auth,auth-int", "auth-int, auth"]),
    username=TEXT.filter(lambda text: ":" not in text),
    password=st.text(max_size=20),
    path=st.text(string.ascii_letters + string.digits + "/?&=-_.", max_size=30),
    stale=st.sampled_from([None, "true", "FALSE"]),
)
def test_what_httpx_sends(
    realm: str, nonce: str, opaque: str | None, algorithm: str | None, qop: str | None,
    username: str, password: str, path: str, stale: str | None,
) -> None:  # fmt: skip
    try:
        password.encode()
    except UnicodeEncodeError:
        return
    header = f'Digest realm="{realm}", nonce="{nonce}"'
    header += "".join(
        f', {name}="{value}"'
        for name, value in (("opaque", opaque), ("qop", qop), ("stale", stale))
        if value is not None
    )
    header += f", algorithm={algorithm}" if algorithm else ""
    challenge = parse_challenge([header])
    assert challenge == Challenge(
        realm=realm,
        nonce=nonce,
        algorithm=algorithm,
        qop=qop and "auth",
        opaque=opaque,
        stale=stale == "true",
    )
    request = httpx.Request("GET", f"http://recorder/{path}")
    flow = httpx.DigestAuth(username, password).auth_flow(request)
    next(flow)
    flow.send(httpx.Response(401, headers={"www-authenticate": header}, request=request))
    theirs = fields(request.headers["authorization"])
    ours = fields(
        authorization(
            challenge,
            username=username,
            password=password,
            method="GET",
            uri=request.url.raw_path.decode(),
            nonce_count=int(theirs.get("nc", "1"), 16),
            cnonce=theirs.get("cnonce", "unused"),
        )
    )
    if algorithm is None:
        theirs.pop("algorithm")  # httpx names MD5 where the server named nothing
    if (algorithm or "").endswith("sess") and not qop:
        # httpx keeps the cnonce that it made to itself, without which nobody can check the answer.
        assert ours.pop("cnonce") == "unused"
        ours.pop("response")
        theirs.pop("response")
    if opaque == "":
        ours.pop("opaque")
    assert ours == theirs


def test_session_keys_without_qop_carry_the_client_nonce() -> None:
    challenge = parse_challenge(["Digest realm=r, nonce=n, algorithm=MD5-sess"])
    found = fields(
        authorization(
            challenge, username="u", password="p", method="GET", uri="/", nonce_count=1, cnonce="c"
        )
    )
    assert found["cnonce"] == "c"
    assert "nc" not in found


# --- choosing and reading


def digest(algorithm: str | None = None, qop: str | None = "auth", nonce: str = "n") -> str:
    parts = ['realm="r"', f'nonce="{nonce}"']
    parts += [f"algorithm={algorithm}"] if algorithm else []
    parts += [f'qop="{qop}"'] if qop else []
    return "Digest " + ", ".join(parts)


@pytest.mark.parametrize(
    ("values", "algorithm"),
    [
        ([digest()], None),
        ([digest("MD5"), digest("SHA-256")], "SHA-256"),
        ([digest("SHA-512-256"), digest("SHA-256"), digest("MD5")], "SHA-512-256"),
        ([digest("MD5"), digest("SHA-512-256-sess"), digest("SHA-256")], "SHA-512-256-sess"),
        ([digest("MD5-sess"), digest("MD5")], "MD5-sess"),
        ([digest("SHA-256", "auth-int"), digest("MD5")], "MD5"),
        ([digest("SHA-3"), digest("md5")], "md5"),
        (['Basic realm="r"', digest("MD5")], "MD5"),
        (["Basic realm=r, " + digest("MD5") + ", " + digest("SHA-256")], "SHA-256"),
        (["Negotiate", "NTLM TlRMTVNTUAAC/+==, " + digest("MD5")], "MD5"),
        (["Negotiate, Basic realm=r," + digest("MD5") + ', Bearer error="x"'], "MD5"),
        (['Digest realm="unterminated', digest("MD5")], "MD5"),
        ([digest("MD5"), "\x00"], "MD5"),
        ([digest("MD5")] * 10, "MD5"),
    ],
)
def test_row_2_the_strongest_is_chosen(values: list[str], algorithm: str | None) -> None:
    challenge = parse_challenge(iter(values))
    assert challenge.algorithm == algorithm
    assert (challenge.realm, challenge.nonce, challenge.qop) == ("r", "n", "auth")


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="Network disk recorder", nonce="abc==", qop="auth"',
        "Digest realm=Network disk recorder, nonce=abc==, qop=auth",
        'DIGEST REALM="Network disk recorder",NONCE="abc==",QOP="AUTH"',
        ' ,, digest\trealm = "Network disk recorder" ,, nonce\t=\t"abc==" , qop = auth , ',
        'Digest realm="Network disk recorder" nonce="abc==" qop="auth"',
        'Digest qop=auth,auth-int,nonce="abc==",realm="Network disk recorder"',
        'Digest qop=auth-int, auth, realm="Network disk recorder", nonce="abc=="',
        'Digest realm="Network\\ disk recorder", nonce="abc==", qop="auth, foo", domain="/", x-new=1',
        'Digest realm="Network disk recorder", nonce="abc==", qop="auth", algorithm=, opaque',
    ],
)
def test_headers_as_the_world_writes_them(value: str) -> None:
    if value.endswith("opaque"):
        value = value.removesuffix(", opaque")
    assert parse_challenge([value]) == Challenge("Network disk recorder", "abc==", None, "auth")


def test_flags_in_any_case() -> None:
    challenge = parse_challenge(
        ['Digest realm="", nonce="n", stale=TRUE, userhash="True", charset="utf-8", opaque=""']
    )
    assert challenge == Challenge("", "n", opaque="", stale=True, userhash=True, charset="utf-8")
    assert not parse_challenge(["Digest realm=r, nonce=n, stale=false, userhash=yes"]).stale


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "without saying"),
        (['Basic realm="r"'], "asks for Basic authentication"),
        (["Negotiate", "Basic"], "asks for"),
        ([digest("MD5", "auth-int")], "only digest with qop 'auth-int'"),
        ([digest("MD5", "auth-conf")], "only digest with qop 'auth-conf'"),
        ([digest("SHA-1")], "algorithm is unknown .'SHA-1'"),
        ([digest("MD5-sess-sess")], "algorithm is unknown"),
        (['Digest realm="r"'], "no nonce"),
        (['Digest realm="r", nonce=""'], "no nonce"),
        (['Digest nonce="n"'], "no realm"),
        (["Digest"], "no realm"),
        ([digest(nonce="n" * MAX_CHALLENGE_LENGTH)], "over 8192 characters"),
        ([digest(nonce="n" * 3000)] * 3, "over 8192 characters"),
        ([""], "cannot be read"),
        ([" ,, "], "cannot be read"),
        (['realm="r", nonce="n"'], "cannot be read"),
        (['Digest realm="r", nonce="n'], "cannot be read"),
        (['Digest realm="r\\", nonce="n'], "no nonce"),
        (['Digest realm="r", nonce="n", nonce="m"'], "cannot be read"),
        (['Digest realm="r", nonce="n"\r\nX: y'], "cannot be read"),
        (['Digest realm="r\x00", nonce="n"'], "cannot be read"),
        (['Digest realm="r\u00e9", nonce="n"'], "cannot be read"),
        (['Digest realm="r", nonce="n", (x)=y'], "cannot be read"),
    ],
)
def test_row_2_what_cannot_be_answered(values: list[str], message: str) -> None:
    with pytest.raises(AuthenticationError, match=message) as caught:
        parse_challenge(values)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


PIECES = st.sampled_from([
    "Digest", "digest ", "Basic ", "NTLM ", "realm=", 'realm="r"', "nonce=n", 'nonce="', "algorithm=MD5", "algorithm=SHA-256-sess",
    "algorithm=", "qop=auth", 'qop="auth,auth-int"', "auth-int", "stale=true", "userhash=true", ",", ", ", " ", "\t", "=", '"', "\\",
    "\\\"", "\r\n", "\x00", "\u00e9", "a==", "/+", ";", "opaque=\"\\\\\"", "x" * 3000,
]) | st.text(max_size=6)  # fmt: skip


@settings(max_examples=3000 if LONG else 1000, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=14).map("".join), max_size=4))
def test_row_2_hostile_headers(values: list[str]) -> None:
    caught: AuthenticationError | None = None
    challenge: Challenge | None = None
    try:
        challenge = parse_challenge(values)
    except AuthenticationError as error:
        caught = error
    if caught:
        assert str(caught).isprintable()
    else:
        assert challenge is not None
        header = authorization(
            challenge, username="u\"\\", password="\ud800p", method="GET", uri='/"?\\', nonce_count=0xFFFFFFFF, cnonce='"'
        )  # fmt: skip
        assert header.isascii()
        assert header.replace("\t", " ").isprintable()
        found = fields(header.replace("username*", "username"))
        assert found["uri"] == '/"?\\'
        assert found.get("nc", "ffffffff") == "ffffffff"
        assert parse_challenge([header]).nonce == challenge.nonce
        assert parse_challenge([header]).realm == challenge.realm


@settings(max_examples=500, deadline=None)
@given(
    st.lists(PIECES, max_size=6).map("".join),
    st.lists(
        st.sampled_from(
            [
                ", qop=auth",
                ', opaque="a\\"b"',
                ", algorithm=SHA-256-sess",
                ", stale=true",
            ]
        ),
        unique=True,
    ),
    st.text(max_size=8),
)
def test_row_2_good_challenges_among_hostile_ones(
    hostile: str, options: list[str], password: str
) -> None:
    good = 'Digest realm="a\\\\b\\"c", nonce="n"' + "".join(options)
    challenge = parse_challenge([hostile[:4000], good])
    found = fields(authorization(
        challenge, username="u", password=password + "\ud800", method="GET", uri="/", nonce_count=1, cnonce="c"
    ))  # fmt: skip
    if challenge.realm == 'a\\b"c':
        assert found["realm"] == 'a\\b"c'
        assert ("opaque" in found) == any("opaque" in option for option in options)


def test_an_empty_opaque_goes_back_empty() -> None:
    challenge = parse_challenge(['Digest realm=r, nonce=n, opaque=""'])
    assert fields(answer(challenge=challenge))["opaque"] == ""


# --- secrets and misuse


SECRETS = {
    "password": "s3cret-password",
    "cnonce": "s3cret-cnonce",
    "uri": "/cgi-bin/status.cgi?UID=s3cret",
    "nonce": "s3cret-nonce",
}


def test_row_4_reprs_hide_the_nonce() -> None:
    challenge = parse_challenge(['Digest realm="r", nonce="s3cret", opaque="s3cret", qop="auth"'])
    assert "s3cret" not in repr(challenge)
    assert "realm='r'" in repr(challenge)
    assert pickle.loads(pickle.dumps(challenge)) == challenge
    with pytest.raises(AttributeError):
        challenge.nonce = "x"  # type: ignore[misc]


def answer(**changed: object) -> str:
    arguments: dict[str, object] = {
        "challenge": Challenge("r", SECRETS["nonce"], None, "auth", SECRETS["nonce"]),
        "username": "u",
        "password": SECRETS["password"],
        "method": "GET",
        "uri": SECRETS["uri"],
        "nonce_count": 1,
        "cnonce": SECRETS["cnonce"],
    }
    arguments.update(changed)
    challenge = arguments.pop("challenge")
    assert isinstance(challenge, Challenge)
    return authorization(challenge, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        *({"username": f"u{character}"} for character in "\r\n\x00\t\x7f\x85\ud800"),
        {"uri": "/s3cret\r\nX: y"},
        {"uri": "/s3cret\u00e9"},
        {"cnonce": "s3cret\n"},
        {"method": "GET /"},
        {"nonce_count": 0},
        {"nonce_count": 1 << 32},
        {"challenge": Challenge("r", "s3cret", "SHA-1")},
        {"challenge": Challenge("r\n", "s3cret")},
    ],
    ids=repr,
)
def test_row_4_misuse_is_refused_and_no_frame_holds_a_secret(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError) as caught:
        answer(**changed)
    assert_no_secret(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r", nonce="s3cret',
        'Digest nonce="s3cret"',
        'Basic realm="s3cret"',
        "s3cret" * 2000,
    ],
)
def test_row_4_a_refused_challenge_is_in_no_frame(value: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        parse_challenge([value])
    assert_no_secret(caught.value)


def assert_no_secret(error: Exception) -> None:
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    inside = [
        frame
        for frame in told.stack
        if frame.filename.endswith("digest.py") and "test_" not in frame.filename
    ]
    assert inside
    assert "s3cret" not in str(error)
    assert "s3cret" not in repr([frame.locals for frame in inside])


def test_row_4_the_planted_leak_would_be_found() -> None:
    def leaky(secret: str) -> None:
        raise ValueError(len(secret))

    leaky.__code__ = leaky.__code__.replace(co_filename="digest.py")
    with pytest.raises(ValueError) as caught:
        leaky("s3cret")
    with pytest.raises(AssertionError):
        assert_no_secret(caught.value)


def test_names_with_quotes_are_escaped_and_others_encoded() -> None:
    assert 'username="a\\"b\\\\c"' in answer(username='a"b\\c')
    assert "username*=UTF-8''%C3%BC%3A%22" in answer(username='\u00fc:"')
    assert fields(answer(nonce_count=0xABC))["nc"] == "00000abc"
