"""Names from the network write nothing outside the folder (docs/faults.md row 64).

2,000 names made by hypothesis; with NVRCLIENT_LONG=1 a million::

    NVRCLIENT_LONG=1 python -m pytest tests/download/test_hostile_names.py --timeout 7200
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.commands.download import requests
from nvrclient.container.download import DownloadReader, FileBegin, FileData, FileEnd
from nvrclient.download.folder import Folder
from nvrclient.download.manifest import MANIFEST, StoredFile
from nvrclient.download.names import check_name, file_name
from nvrclient.errors import DownloadError, NVRError, UnsafeFileNameError

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
EACH = 100
"""Names an example."""

BEGIN = datetime(2023, 11, 15, tzinfo=UTC)
[REQUEST] = requests(1, BEGIN, BEGIN + timedelta(hours=1), "mp4", audio=True)
PART = "camera1-MP4-20231115T0000Z-20231115T0100Z.part"

PLANTED = ("a.mp4", "a-2.mp4", "x.bin", "dir.mp4", "dangling.mp4", "loop.n3r")
WRITES = {
    "open", "os.rename", "os.symlink", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod",
    "os.chown", "os.utime", "shutil.move", "shutil.copyfile",
}  # fmt: skip


class Watch:
    """An audit hook, which cannot be taken off again: it looks while `folder` is set."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen = 0
        self.outside: list[tuple[str, object]] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.folder is None or event not in WRITES:
            return
        paths = args[:2] if event in {"os.rename", "os.link", "os.symlink"} else args[:1]
        for path in paths:
            self.seen += 1
            if isinstance(path, int):
                continue
            text = os.fsdecode(path)  # type: ignore[arg-type]
            # Names without a path are looked up in the folder's descriptor: the working directory is watched apart.
            inside = Path(text) == self.folder or ("/" not in text and text not in {"", ".", ".."})
            if not inside:
                self.outside.append((event, path))


_WATCH: list[Watch] = []


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    if not _WATCH:
        _WATCH.append(Watch())
    watch = _WATCH[0]
    watch.folder, watch.seen, watch.outside = folder, 0, []
    try:
        yield watch
    finally:
        watch.folder = None


def tree(root: Path) -> dict[str, object]:
    """Return everything below a folder: what it is and holds."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        else:
            found[name] = path.read_bytes() if path.is_file() else "folder"
    return found


PLAIN = st.text("abxAB019._-", min_size=1, max_size=12)
PIECES = st.sampled_from([
    "../", "..", "/", "\\", "./", "~", "C:", "\\\\host\\", "f:", "\0", "\n", "\r", " ", ".", "-", "_", "%2e", "%2f", "..\\",
    "CON", "nul", "Aux", "com1", "LPT9", "etc", "passwd", "a", "x", "dir", "dangling", "loop", "a-2", MANIFEST, PART,
    ".mp4", ".MP4", ".n3r", ".n3a", ".N3N", ".bin", ".part", ".exe", ".json", ".lnk", "\u202e", "é", "\x1b[2J", '"', ";", "x" * 130,
])  # fmt: skip
NAME = (
    st.lists(PIECES, max_size=6).map("".join)
    | st.tuples(PLAIN, PIECES).map("".join)
    | st.sampled_from(PLANTED)
    | st.text(max_size=140)
    | st.tuples(PLAIN, st.sampled_from([".mp4", ".n3r", ".n3n", ""])).map("".join)
)


def download(folder: Folder, temporary: str, name: str) -> bool:
    """Take an answer whose headers bear these names into the folder, as a download does; True where it is stored."""
    reader = DownloadReader()
    data = (
        f"--b\r\nX-Temp-FileName: {temporary}\r\nContent-Length: 4\r\n\r\nDATA\r\n"
        f'--b\r\nX-Prev-Filename: filename = "{name}"\r\n\r\n\r\n--b--\r\n'
    ).encode("utf-8", "surrogatepass")
    for event in reader.feed(data):
        match event:
            case FileBegin(sent):
                check_name(sent)
                folder.begin(REQUEST)
            case FileData(body):
                folder.write(memoryview(body))
            case FileEnd(sent, _):
                folder.finish(
                    StoredFile(
                        file_name(sent), 1, "MP4", (BEGIN, BEGIN), 0, "", sent, 1, True, BEGIN
                    )
                )
                return True
            case _:
                pass
    return False


@settings(
    max_examples=10_000 if LONG else 20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(NAME, st.just("t.tmp") | NAME), min_size=EACH, max_size=EACH))
def run_names(names: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory(dir=_BASE[0]) as scratch:
        root = Path(scratch)
        outside, to = root / "outside", root / "to"
        outside.mkdir()
        to.mkdir()
        (outside / "secret").write_text("not yours")
        (to / "a.mp4").write_text("mine")
        (to / "a-2.mp4").symlink_to(outside / "secret")
        (to / "x.bin").symlink_to(outside / "new")
        (to / "dir.mp4").symlink_to(outside, target_is_directory=True)
        (to / "dangling.mp4").symlink_to("../outside/new2")
        (to / "loop.n3r").symlink_to("loop.n3r")
        before = tree(root)
        folder = Folder(to)
        stored = 0
        os.chdir(outside)
        try:
            with watched(to) as watch:
                folder.open()
                for name, temporary in names:
                    with suppress(NVRError):
                        stored += download(folder, temporary, name)
                    folder.abandon()
                folder.close()
        finally:
            os.chdir("/")
        assert watch.outside == []
        after = tree(root)
        assert {name: what for name, what in after.items() if name in before} == before
        new = after.keys() - before.keys() - {f"to/{MANIFEST}"}
        assert len(new) == stored
        for name in new:
            content = after[
                name
            ]  # a line end in a name ends its header, and the next one may belong to the body
            assert isinstance(content, bytes)
            assert content.endswith(b"DATA")
            assert Path(name).parent == Path("to")
            assert name.lower().endswith((".mp4", ".n3r", ".n3a", ".n3n", ".bin"))
        _COUNTS["names"] += len(names)
        _COUNTS["stored"] += stored
        _COUNTS["seen"] += watch.seen


_BASE = [""]
_COUNTS = {"names": 0, "stored": 0, "seen": 0}


@pytest.mark.timeout(7200 if LONG else 60)
def test_row_64_nothing_outside_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Path("/dev/shm")
    _BASE[0] = str(memory if memory.is_dir() else tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _fd: None)  # a hundred thousand times would take hours
    monkeypatch.chdir(tmp_path)
    run_names()
    assert _COUNTS["names"] >= (1_000_000 if LONG else 2_000)
    assert _COUNTS["stored"] > _COUNTS["names"] // 20
    assert _COUNTS["seen"] > _COUNTS["stored"] * 4


def test_the_hook_sees_what_it_must(tmp_path: Path) -> None:
    """A watch that sees nothing would prove nothing."""
    to = tmp_path / "to"
    to.mkdir()
    with watched(to) as watch:
        (tmp_path / "outside").write_text("")
        (tmp_path / "outside").rename(tmp_path / "other")
        os.link(tmp_path / "other", tmp_path / "third")
        os.symlink("x", tmp_path / "fourth")  # noqa: PTH211
        (tmp_path / "other").unlink()
    assert {event for event, _ in watch.outside} >= {
        "open",
        "os.rename",
        "os.link",
        "os.symlink",
        "os.remove",
    }


@pytest.mark.parametrize("name", [PART, f"{MANIFEST}.part", MANIFEST])
def test_links_under_names_of_our_own_are_not_followed(name: str, tmp_path: Path) -> None:
    outside, to = tmp_path / "outside", tmp_path / "to"
    to.mkdir()
    outside.write_text("not yours")
    (to / name).symlink_to(outside)
    folder = Folder(to)
    folder.open()
    try:
        with pytest.raises(DownloadError):
            download(folder, "t.tmp", "a.mp4")
    finally:
        folder.close()
    assert outside.read_text() == "not yours"
    assert (to / name).is_symlink()
    assert [path.name for path in to.iterdir()] == [name]


def test_unsafe_temporary_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    with pytest.raises(UnsafeFileNameError):
        download(folder, "../t.tmp", "a.mp4")
    folder.close()
    assert list(tmp_path.iterdir()) == []
