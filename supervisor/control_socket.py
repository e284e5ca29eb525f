"""Where the control socket of a journal lies, for the service that opens it and for who calls it.

Beside the journal, named after it. It is opened by whoever holds the journal's lock, so that one found in its place belongs
to a process that is dead. The operating system bounds the length of a socket's path: where the journal's is too long, the
socket lies in a short folder of this user's, and beside the journal is a link to it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..actors.errors import ConfigError

PATH_BYTES = 100
"""Longest path of a socket: 107 bytes on Linux, 103 on BSD and macOS."""


def control_path(journal: Path) -> Path:
    """Return where the control socket of a journal is found: itself, or a link to it."""
    return journal.with_name(journal.name + ".control").absolute()


def socket_path(journal: Path) -> Path:
    """Return the path to connect to."""
    path = control_path(journal)
    with suppress(OSError):
        return path.readlink()
    return path


@contextmanager
def open_door(journal: Path) -> Iterator[tuple[socket.socket, Path]]:
    """Listen at the journal's control socket, whose path is the second value; afterwards there is none. Raises ConfigError."""
    path = named = control_path(journal)
    ours: dict[Path, os.stat_result] = {}
    with socket.socket(socket.AF_UNIX) as door:
        try:
            path = named if len(os.fsencode(named)) <= PATH_BYTES else _short(named)
            _clear(named)
            _clear(path)
            door.setblocking(False)
            door.bind(str(path))
            ours[path] = path.lstat()
            path.chmod(0o600)  # nobody can come in before `listen`
            if path != named:
                named.symlink_to(path)
                ours[named] = named.lstat()
            door.listen()
        except OSError as error:
            _take_away(ours)
            raise ConfigError(
                f"service.control: there can be no socket {path}: {error.strerror or error}; "
                "put journal.path where there can, or set service.control: false"
            ) from error
        try:
            yield door, path
        finally:
            _take_away(ours)


def _take_away(ours: dict[Path, os.stat_result]) -> None:
    """Remove what is still ours: the next service may have taken the place already."""
    for path, made in ours.items():
        with suppress(OSError):
            if os.path.samestat(path.lstat(), made):
                path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket or a link, and nothing else."""
    with suppress(FileNotFoundError):
        if stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFSOCK, stat.S_IFLNK):
            path.unlink()


def _short(named: Path) -> Path:
    """Return a short path for a socket, in a folder that is this user's alone."""
    name = hashlib.sha256(os.fsencode(named)).hexdigest()[:24] + ".control"
    parents = [parent for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if parent]
    folders = [Path(parent) / f"ordersmith-{os.getuid()}" for parent in parents]
    folder = next((each for each in folders if len(os.fsencode(each / name)) <= PATH_BYTES), folders[-1])
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(0, f"{folder} must be a folder that only this user may enter")
    return folder / name
