"""The folder that files are stored in. Everything here blocks, and runs in the download's one thread.

Names are looked up in the folder that was opened (``dir_fd``), never by path again; new files are made by
``O_EXCL | O_NOFOLLOW``. A file is written as ``….part`` and has its final name, by a link that replaces nothing, only
once it is on the disk. The manifest tells of it first: a crash in between leaves an entry without a file, and the next
run fetches it again; the other way round it would leave a file that the next run does not know.

A ``.part`` is locked while it is written, so that a left-over of a run that died can be told from another program's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from nvrclient.commands.download import Request
from nvrclient.download.manifest import (
    MANIFEST,
    MAX_MANIFEST,
    Gap,
    Manifest,
    StoredFile,
    parse_manifest,
)
from nvrclient.download.names import free_name
from nvrclient.errors import DownloadError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: two programs that download into one folder are not told apart there
    fcntl = None

LOCK_TIME = 10.0
"""Seconds for which another program may keep the folder locked: it does so to name one file. One that hangs, or is
stopped, must not hang this one, nor its being cancelled."""

_AT = os.open in os.supports_dir_fd and os.link in os.supports_dir_fd
_ADVISE = getattr(os, "posix_fadvise", None)
_NEW = (
    os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)
_OLD = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


MAX_WRITE = 1 << 18
"""Bytes of one write: larger ones took ext4 thrice the time a byte."""


WRITE_OUT = 8 << 20
"""Bytes after which the system is told to begin bringing them to the disk: else `finish` waits for all of a file."""


class Folder:
    """See the module. `open` it, `begin`, `write` and `finish` or `abandon` a file, `close` it; all raise DownloadError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._part: int | None = None
        self._part_name = ""
        self._digest = hashlib.sha256()
        self._size = 0

    def open(self) -> None:
        """Open the folder, made where it is missing."""
        with self._told("opening the folder"):
            self.path.mkdir(parents=True, exist_ok=True)
            if _AT:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Abandon the file that is being written, and close the folder. Safe to repeat."""
        self.abandon()
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    # What an earlier run left

    def recall(self, request: Request) -> list[StoredFile]:
        """Return the files of this very request that an earlier run stored and that are still there, in order.

        What else such a run left of it is removed.
        """
        with self._told("looking at earlier files"), self._alone():
            self._remove_left_over(_part_name(request))
            stored = self._read_manifest().of(request)
            return [one for one in stored if self._is_there(one) and one.is_settled]

    def note_gap(self, request: Request) -> None:
        """Put down that nothing is recorded in the time of a request."""

        def add(manifest: Manifest) -> None:
            manifest.gaps[Gap.of(request)] = None

        with self._told(f"writing {MANIFEST}"), self._alone():
            self._change_manifest(add)

    # A file

    def begin(self, request: Request) -> None:
        """Begin a file of this request, under a name that is nobody else's."""
        name = _part_name(request)
        with self._told(f"making {name}"), self._alone():
            self._remove_left_over(name)
            self._part = self._open_at(name, _NEW)
            self._part_name = name
            self._lock(self._part)
        self._digest, self._size = hashlib.sha256(), 0

    def write(self, data: memoryview) -> None:
        """Append to the file, and let go of the data."""
        assert self._part is not None
        with data, self._told(f"writing {self._part_name}"):
            at = 0
            while at < len(data):
                at += os.write(self._part, data[at : at + MAX_WRITE])
            self._digest.update(data)
            begun = self._size // WRITE_OUT
            self._size += len(data)
            if self._size // WRITE_OUT > begun and _ADVISE is not None:
                with suppress(OSError):  # it is advice
                    _ADVISE(self._part, begun * WRITE_OUT, WRITE_OUT, os.POSIX_FADV_DONTNEED)

    def finish(self, wanted: StoredFile) -> StoredFile:
        """Give the file its final name, ``wanted.file`` or the first free one like it, and put it down in the manifest."""
        assert self._part is not None
        part = self._part_name
        with self._told(f"storing {wanted.file}"):
            os.fsync(self._part)
            with self._alone():
                if not os.path.samestat(os.fstat(self._part), self._stat(part)):
                    raise DownloadError(
                        f"download: {self.path / part} was replaced by something else meanwhile"
                    )
                while True:
                    name = free_name(wanted.file, self._exists)
                    stored = replace(
                        wanted, file=name, bytes=self._size, sha256=self._digest.hexdigest()
                    )

                    def add(manifest: Manifest, stored: StoredFile = stored) -> None:
                        manifest.files[stored.file] = stored
                        manifest.gaps.pop(Gap(stored.camera, stored.kind, stored.range), None)

                    self._change_manifest(add)
                    try:
                        self._name_finally(part, name)
                        break
                    except FileExistsError:
                        self._change_manifest(lambda manifest, name=name: manifest.files.pop(name))  # type: ignore[misc]
                os.close(self._part)
                self._part = None
                self._sync()
        return stored

    def abandon(self) -> None:
        """Close the file that is being written, if any, and remove its ``.part``."""
        part, self._part = self._part, None
        if part is not None:
            with suppress(OSError):
                self._unlink(self._part_name)
            with suppress(OSError):
                os.close(part)

    # Inside

    def _name_finally(self, part: str, name: str) -> None:
        """Give the part a name that nothing has, instead of its own. Raises FileExistsError."""
        try:
            if _AT:
                os.link(part, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
            else:
                os.link(self.path / part, self.path / name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            self._unlink(part)
            return
        # No links here (FAT, some network disks): take the name, then put the file in the place of the empty one.
        os.close(self._open_at(name, _NEW))
        self._replace(part, name)

    def _remove_left_over(self, name: str) -> None:
        """Remove a ``.part`` that nobody writes any more."""
        try:
            fd = self._open_at(name, _OLD)
        except FileNotFoundError:
            return
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DownloadError(f"download: {self.path / name} is no file; move it away")
            self._lock(fd)
            self._unlink(name)
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        """Lock a ``.part`` while it is open. Raises DownloadError where another holds it."""
        if fcntl is None:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(
                f"download: another download of the same range is writing to {self.path}"
            ) from None
        except OSError:  # no locks on this disk
            return

    def _lock_folder(self) -> bool:
        """Lock the folder; False where there are no locks. Raises DownloadError where another keeps it locked."""
        if fcntl is None or self._fd is None:
            return False
        until = time.monotonic() + LOCK_TIME
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DownloadError(
                        f"download: another program keeps {self.path} locked"
                    ) from None
                time.sleep(0.01)
            except OSError:
                return False
            else:
                return True

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Keep other downloads into this folder, in any process, from naming files and writing the manifest."""
        locked = self._lock_folder()
        try:
            yield
        finally:
            if locked and fcntl is not None and self._fd is not None:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _read_manifest(self) -> Manifest:
        try:
            fd = self._open_at(MANIFEST, _OLD)
        except FileNotFoundError:
            return Manifest()
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_MANIFEST:
                raise DownloadError(
                    f"download: {self.path / MANIFEST} is no file, or too large; move it away"
                )
            with os.fdopen(fd, "rb", closefd=False) as file:
                return parse_manifest(file.read(found.st_size))
        finally:
            os.close(fd)

    def _change_manifest(self, change: Callable[[Manifest], object]) -> None:
        """Change the manifest, whole or not at all; the folder is ours alone meanwhile."""
        manifest = self._read_manifest()
        change(manifest)
        name = f"{MANIFEST}.part"
        self._remove_left_over(name)
        fd = self._open_at(name, _NEW)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(manifest.encoded())
                file.flush()
                os.fsync(fd)
            self._replace(name, MANIFEST)
        except BaseException:
            with suppress(OSError):
                self._unlink(name)
            raise

    def _is_there(self, stored: StoredFile) -> bool:
        try:
            found = self._stat(stored.file)
        except OSError:
            return False
        if not found.st_size and stored.bytes and stat.S_ISREG(found.st_mode):
            self._unlink(
                stored.file
            )  # the name was taken, and then the run ended: see `_name_finally`
        return stat.S_ISREG(found.st_mode) and found.st_size == stored.bytes

    def _exists(self, name: str) -> bool:
        try:
            self._stat(name)
        except FileNotFoundError:
            return False
        return True

    def _open_at(self, name: str, flags: int) -> int:
        return os.open(self._at(name), flags, 0o666, dir_fd=self._fd)

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)

    def _unlink(self, name: str) -> None:
        os.unlink(self._at(name), dir_fd=self._fd)

    def _replace(self, name: str, final: str) -> None:
        os.replace(self._at(name), self._at(final), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _sync(self) -> None:
        """Bring the folder's names to the disk, where that can be asked for."""
        if self._fd is not None:
            with suppress(OSError):
                os.fsync(self._fd)

    def _at(self, name: str) -> str | Path:
        return name if _AT else self.path / name

    @contextmanager
    def _told(self, doing: str) -> Generator[None]:
        """Turn what the operating system says into a DownloadError."""
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "failed"
            raise DownloadError(f"download to {self.path}: {doing}: {reason}") from None


def _part_name(request: Request) -> str:
    """Return the name of a request's unfinished file: one request has one at a time, and never another's."""
    return f"camera{request.camera}-{request.kind}-{request.start:%Y%m%dT%H%MZ}-{request.end:%Y%m%dT%H%MZ}.part"
