"""A file of frames that is only ever added to, written by a thread of its own: whoever adds one never waits for the disk.

A frame is 12 bytes and its payload: the payload's length, its CRC, and the CRC of those two. So an end that a kill or a power
cut has left (*torn*) can be told from bytes that something has changed (*damaged*), and all that is before either can be read.
Nothing is synced: a power cut may cost the last seconds.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Generator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

PRIVATE = 0o600
FLUSH_S = 0.5
CLOSE_S = 5.0
BOUND = 256 << 20
"""Bytes that may wait for a disk that does not take them."""

_SIZES = struct.Struct(">II")
_CHECK = struct.Struct(">I")
HEAD = _SIZES.size + _CHECK.size


def framed(payload: bytes) -> bytes:
    """Return a payload as a frame."""
    sizes = _SIZES.pack(len(payload), crc32(payload))
    return sizes + _CHECK.pack(crc32(sizes)) + payload


class FrameWriter:
    """Adds frames to a new file. `failed(text)` is called, once and from any thread, when there will be no more of them.

    What is added is with the operating system after FLUSH_S seconds, and after `close`. Raises OSError if there is such a file
    already, or if it cannot be made.
    """

    def __init__(self, path: Path, begin: bytes, failed: Callable[[str], object]) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, PRIVATE)
        self._path = path
        self._failed = failed
        self._waiting: deque[bytes] = deque([begin])
        self._added, self._written = len(begin), 0
        self._broken = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def add(self, payload: bytes) -> None:
        """Add a frame. After a failure, do nothing."""
        if self._broken:
            return
        frame = framed(payload)
        self._added += len(frame)
        if self._added - self._written > BOUND:
            self._break(f"the disk does not take it: {BOUND >> 20} MB wait")
            return
        self._waiting.append(frame)

    def close(self) -> bool:
        """Write what was added and close the file; return whether that was done within CLOSE_S seconds."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        return not (self._broken or self._thread.is_alive())

    def _run(self) -> None:
        try:
            self._flush()  # the beginning at once: it says what the file is, whatever comes of the rest
            while not self._closing.wait(FLUSH_S):
                self._flush()
            self._flush()
        except OSError as error:
            self._break(error.strerror or str(error))
        finally:
            os.close(self._descriptor)

    def _flush(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        rest = memoryview(b"".join(taken))
        while rest and not self._broken:
            done = os.write(self._descriptor, rest)
            self._written += done
            rest = rest[done:]

    def _break(self, reason: str) -> None:
        if not self._broken:
            self._broken = True
            self._waiting.clear()
            self._failed(f"{self._path}: no more is written to it: {reason}")


class End(StrEnum):
    """How a file of frames ends."""

    WHOLE = "whole"
    TORN = "torn"
    DAMAGED = "damaged"


class FrameReader:
    """Iterates over the payloads of a file, as far as they are what was written; `end` then says what comes after, at `position`."""

    def __init__(self, path: Path, begin: bytes) -> None:
        self.end: End | None = None
        self.position = len(begin)
        self._path = path

    def __iter__(self) -> Generator[bytes, None, None]:
        with self._path.open("rb") as file:
            file.seek(self.position)
            while (payload := self._next(file)) is not None:
                self.position += HEAD + len(payload)
                yield payload

    def _next(self, file: BinaryIO) -> bytes | None:
        head = file.read(HEAD)
        if len(head) < HEAD:
            self.end = End.TORN if head else End.WHOLE
            return None
        length, check = _SIZES.unpack_from(head)
        if _CHECK.unpack_from(head, _SIZES.size) != (crc32(head[: _SIZES.size]),):
            self.end = End.DAMAGED if any(head) or _has_more(file) else End.TORN  # a power cut may leave zeros
            return None
        payload = file.read(length)
        if len(payload) < length:
            self.end = End.TORN
        elif crc32(payload) != check:
            self.end = End.DAMAGED
        else:
            return payload
        return None


def _has_more(file: BinaryIO) -> bool:
    return any(any(piece) for piece in iter(lambda: file.read(1 << 20), b""))
