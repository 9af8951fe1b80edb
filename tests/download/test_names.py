"""Which names a recorder may give a file here (docs/faults.md row 64)."""

from __future__ import annotations

from datetime import datetime

import pytest

from nvrclient.download.names import check_name, file_name, free_name, local_time
from nvrclient.errors import DownloadError, UnsafeFileNameError

USED = {
    "001_231115000000_3000_7f_00_01.mp4": "001_231115000000_3000_7f_00_01.mp4",
    "a.MP4": "a.MP4",
    "a.n3r": "a.n3r",
    "a.N3A": "a.N3A",
    "a.n3n": "a.n3n",
    "x": "x.bin",
    "mp4": "mp4.bin",
    "a.exe": "a.exe.bin",
    "a.mp4.sh": "a.mp4.sh.bin",
    "a.": "a..bin",
    "a..b": "a..b.bin",
    "_": "_.bin",
    "a" * 128: "a" * 128 + ".bin",
    "console.mp4": "console.mp4",
    "com10.mp4": "com10.mp4",
    "nvrclient-manifest.json": "nvrclient-manifest.json.bin",
    "camera1-MP4.part": "camera1-MP4.part.bin",
}
REFUSED = [
    "", ".", "..", "../a.mp4", "a/b.mp4", "/etc/passwd", "a\\b.mp4", "\\\\host\\share\\a.mp4", "C:a.mp4", "C:\\a.mp4",
    "f:foo.mp4", "a\0.mp4", "a.mp4\n", "a b.mp4", ".hidden.mp4", "-rf", "~a.mp4", "$HOME.mp4", "a;b.mp4", "a*.mp4",
    "CON", "con.mp4", "NUL.mp4", "aux.n3r", "PRN.tar.mp4", "COM1.mp4", "lpt9", "a" * 129, "\u202egp4.exe", "ä.mp4",
    "\uff0e\uff0e\uff0fa.mp4", "a\x1b[31m.mp4", "%2e%2e%2fa.mp4", "٣.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", USED)
def test_row_64_names_that_are_used(name: str) -> None:
    assert file_name(name) == USED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_row_64_names_that_are_refused(name: str) -> None:
    for refuse in (check_name, file_name):
        with pytest.raises(UnsafeFileNameError) as caught:
            refuse(name)
        assert str(caught.value).isascii()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600


def test_a_clash_gets_a_number_before_the_suffix() -> None:
    taken = {"a.mp4"}
    assert free_name("b.mp4", taken.__contains__) == "b.mp4"
    assert free_name("a.mp4", taken.__contains__) == "a-2.mp4"
    taken.add("a-2.mp4")
    assert free_name("a.mp4", taken.__contains__) == "a-3.mp4"
    with pytest.raises(DownloadError, match=r"called a\.mp4 already"):
        free_name("a.mp4", lambda _: True)


def test_the_printed_form_is_parsed_for_its_time() -> None:
    assert local_time("001_231115003000_3000_7f_00_01.tmp") == datetime(2023, 11, 15, 0, 30)  # noqa: DTZ001
    for other in (
        "001_231315003000_3000.tmp",
        "001-231115003000.tmp",
        "x.tmp",
        "001_23111500300_1.tmp",
    ):
        assert local_time(other) is None
