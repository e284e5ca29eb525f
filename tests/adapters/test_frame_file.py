"""Files of frames: what was added is read, and what became of the end is told."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordersmith.adapters import frame_file
from ordersmith.adapters.frame_file import HEAD, End, FrameReader, FrameWriter, framed

MAGIC = b"frames\n"
PAYLOADS = [b"", b"one", bytes(300), b"\xff" * 5]


def write(path: Path, payloads=PAYLOADS) -> None:
    said: list[str] = []
    writer = FrameWriter(path, MAGIC, said.append)
    for payload in payloads:
        writer.add(payload)
    assert writer.close()
    assert said == []


def read(path: Path) -> tuple[list[bytes], FrameReader]:
    reader = FrameReader(path, MAGIC)
    return list(reader), reader


def starts(payloads=PAYLOADS) -> list[int]:
    places = [len(MAGIC)]
    for payload in payloads:
        places.append(places[-1] + HEAD + len(payload))
    return places


def test_what_was_added_is_read(tmp_path):
    """All frames, in order, and the end is whole."""
    write(tmp_path / "f")
    found, reader = read(tmp_path / "f")
    assert (found, reader.end, reader.position) == (PAYLOADS, End.WHOLE, starts()[-1])


def test_only_the_owner_may_read_it(tmp_path):
    """Whatever the process's mask is."""
    before = os.umask(0)
    try:
        write(tmp_path / "f")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_left_alone(tmp_path):
    """It may be all that is left of another session."""
    (tmp_path / "f").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        FrameWriter(tmp_path / "f", MAGIC, print)
    assert (tmp_path / "f").read_bytes() == b"precious"


def test_every_cut_is_torn_and_keeps_what_is_before_it(tmp_path):
    """A kill can end the file anywhere: between frames it is whole, inside of one torn."""
    write(tmp_path / "f")
    whole = (tmp_path / "f").read_bytes()
    for length in range(len(MAGIC), len(whole)):
        (tmp_path / "f").write_bytes(whole[:length])
        found, reader = read(tmp_path / "f")
        complete = sum(place <= length for place in starts()) - 1
        assert found == PAYLOADS[:complete]
        assert reader.end is (End.WHOLE if length in starts() else End.TORN)
        assert reader.position == starts()[complete]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_every_flipped_bit_is_damage(tmp_path, data):
    """Wherever it is, in a length or a payload, it is found, told from a torn end, and the frames before it are read."""
    path = tmp_path / "f"
    path.unlink(missing_ok=True)
    whole = MAGIC + b"".join(map(framed, PAYLOADS))
    place = data.draw(st.integers(len(MAGIC), len(whole) - 1))
    spoilt = bytearray(whole)
    spoilt[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(spoilt)
    found, reader = read(path)
    complete = sum(start <= place for start in starts()) - 1
    assert found == PAYLOADS[:complete]
    assert (reader.end, reader.position) == (End.DAMAGED, starts()[complete])


@pytest.mark.parametrize("zeros", [1, HEAD, 5000])
def test_zeros_at_the_end_are_torn(tmp_path, zeros):
    """A power cut may leave a length of the file that nothing was written to."""
    write(tmp_path / "f")
    with (tmp_path / "f").open("ab") as file:
        file.write(bytes(zeros))
    found, reader = read(tmp_path / "f")
    assert (found, reader.end) == (PAYLOADS, End.TORN)


def test_zeros_in_the_middle_are_damage(tmp_path):
    """What comes after them was written, so they were not left by a cut."""
    (tmp_path / "f").write_bytes(MAGIC + framed(b"one") + bytes(100) + framed(b"two"))
    found, reader = read(tmp_path / "f")
    assert (found, reader.end) == ([b"one"], End.DAMAGED)


def test_what_was_added_is_there_without_closing(tmp_path, monkeypatch):
    """The writer's thread hands it to the system by itself, so that a kill costs little."""
    monkeypatch.setattr(frame_file, "FLUSH_S", 0.001)
    written = threading.Event()
    real = os.write

    def noting(descriptor, data):
        done = real(descriptor, data)
        if b"one" in bytes(data):
            written.set()
        return done

    monkeypatch.setattr(frame_file.os, "write", noting)
    writer = FrameWriter(tmp_path / "f", MAGIC, print)
    writer.add(b"one")
    assert written.wait(10)
    assert read(tmp_path / "f")[0] == [b"one"]
    writer.close()


def test_a_write_that_takes_a_part_goes_on(tmp_path, monkeypatch):
    """The system may take less than it was given."""
    real = os.write
    monkeypatch.setattr(frame_file.os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    write(tmp_path / "f")
    assert read(tmp_path / "f")[0] == PAYLOADS


def test_a_disk_that_fails_is_told_once(tmp_path, monkeypatch):
    """Then nothing more is written, and nobody who adds hears of it; what was written before can be read."""
    write_ = os.write
    full = threading.Event()

    def failing(descriptor, data):
        if full.is_set():
            raise OSError(28, "No space left on device")
        full.set()
        return write_(descriptor, data[: len(MAGIC) + HEAD + 5])

    monkeypatch.setattr(frame_file, "FLUSH_S", 0.001)
    said: list[str] = []
    told = threading.Event()
    writer = FrameWriter(tmp_path / "f", MAGIC, lambda text: (said.append(text), told.set()))
    monkeypatch.setattr(frame_file.os, "write", failing)
    writer.add(b"first")
    writer.add(b"second")
    assert full.wait(10)
    writer.add(b"third")
    assert told.wait(10)
    writer.add(b"fourth")
    assert not writer.close()
    assert said == [f"{tmp_path / 'f'}: no more is written to it: No space left on device"]


def test_a_disk_that_takes_nothing_has_a_bound(tmp_path, monkeypatch):
    """Memory is not filled up for it."""
    monkeypatch.setattr(frame_file, "BOUND", 1 << 20)
    monkeypatch.setattr(frame_file, "FLUSH_S", 0.001)
    hangs, goes_on = threading.Event(), threading.Event()

    def hanging(descriptor, data):
        hangs.set()
        goes_on.wait(20)
        return len(data)

    monkeypatch.setattr(frame_file.os, "write", hanging)
    said: list[str] = []
    writer = FrameWriter(tmp_path / "f", MAGIC, said.append)
    assert hangs.wait(10)
    for _ in range(3):
        writer.add(bytes(1 << 19))
    assert said == [f"{tmp_path / 'f'}: no more is written to it: the disk does not take it: 1 MB wait"]
    goes_on.set()
    assert not writer.close()
