"""The command that runs a session again: what it says of one that is identical, what a difference looks like, what it refuses."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import anyio
import msgspec
import pytest
from journal_kit import batch
from recorded_session import (
    STRATEGY,
    command,
    record,
    records_in,
    replayed,
)

from ordersmith.adapters.frame_file import HEAD, FrameReader, framed
from ordersmith.adapters.journal_format import link_group
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.supervisor import input_log
from ordersmith.supervisor.input_log import MAGIC, Header, InputLogReader


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """The folder of one short session."""
    folder = tmp_path_factory.mktemp("recorded")
    anyio.run(record, folder)
    return folder


@pytest.fixture
def world(recorded, tmp_path) -> Path:
    """A copy of that folder, to be spoilt."""
    shutil.copytree(recorded, tmp_path / "copy")
    return tmp_path / "copy"


# --- Identical ---------------------------------------------------------------------------------------------------------


def test_the_command_says_that_it_is_identical(world):
    """One line with the number of records and ticks and the hash, status 0; as JSON the same."""
    status, out, problems = replayed(world)
    records = records_in(world / "journal.db")
    assert status == 0
    assert problems == ""
    assert f": identical: {records} records, " in out
    status, out, _ = replayed(world, "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["identical"], found["records"], found["difference"]) == (True, records, None)
    assert len(found["trace_hash"]) == 64


def test_the_journal_beside_the_log_is_the_default(world):
    """Without --journal the log's name says where it is; a name that does not is an error."""
    status, out, _ = command("replay", world / "journal.db.inputs-1", "--strategy", f"{world / 'steady.py'}:Steady")
    assert status == 0, out
    (world / "journal.db.inputs-1").rename(world / "renamed")
    status, _, problems = command("replay", world / "renamed")
    assert status == 2
    assert "give --journal" in problems


# --- Different ---------------------------------------------------------------------------------------------------------


def test_another_strategy_is_shown_by_its_first_order(world):
    """A strategy that was changed since: the first record that differs, both as they are, the tick, and a note that it was changed."""
    (world / "steady.py").write_text(STRATEGY.replace('"B", self.size', '"B", self.size + 1'))
    status, out, problems = replayed(world)
    assert status == 1
    assert "the file of the strategy Steady has changed since" in problems
    lines = out.splitlines()
    assert ": not identical, after " in lines[0]
    assert lines[1].endswith(" differs")
    number = lines[1].split()[1]
    assert lines[2].split()[:2] == ["journal", number]
    assert lines[3].split()[:2] == ["replay", number]
    assert "OrderSubmitted" in lines[2]
    assert '"quantity":"2"' in lines[2]
    assert '"quantity":"3"' in lines[3]
    assert lines[4].startswith("in tick ")
    assert any("PricesShown(" in line for line in lines[5:])
    status, out, _ = replayed(world, "--json")
    found = json.loads(out)["difference"]
    assert status == 1
    assert (found["record"], found["journal"]["event"]) == (int(number), "OrderSubmitted")
    assert found["journal"]["order"]["quantity"] == "2"
    assert found["replay"]["order"]["quantity"] == "3"


def test_a_strategy_that_does_nothing_leaves_records_that_replay_does_not_make(world):
    """What only the journal has is a difference as well."""
    (world / "steady.py").write_text(STRATEGY.replace("self.submit", "str"))
    status, out, _ = replayed(world)
    assert status == 1
    assert "replay " in out


def test_a_changed_byte_of_the_journal_is_shown(world):
    """The chain of the journal finds it: which records, what replay makes of the first, and status 1."""
    spoil(world / "journal.db", lambda data: data.replace(b"one", b"two"), whole_chain=False)
    status, out, _ = replayed(world)
    assert status == 1
    assert "it is not as it was written" in out
    assert '"one"' in out.partition("replay")[2]


def test_a_journal_that_was_forged_is_shown_record_by_record(world):
    """Whoever changes a record and renews the chain is found by replay alone."""
    spoil(world / "journal.db", lambda data: data.replace(b"one", b"two"), whole_chain=True)
    status, out, _ = replayed(world)
    assert status == 1
    theirs, ours = out.splitlines()[2:4]
    assert '"two"' in theirs
    assert '"one"' in ours


def spoil(journal: Path, change, *, whole_chain: bool) -> None:
    """Change the first record that this changes, with or without its group's link and those after it."""
    with JournalReader(journal) as reader:
        groups = list(reader.groups())
        link = reader.header.link
    with sqlite3.connect(journal) as database:
        (trigger,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'records_keep'").fetchone()
        database.execute("DROP TRIGGER records_keep")
        done = False
        for group in groups:
            rows = [row[3] if done else change(row[3]) for row in group.rows]
            if not done and rows != [row[3] for row in group.rows]:
                done = True
                for row, data in zip(group.rows, rows, strict=True):
                    database.execute("UPDATE records SET data = ? WHERE number = ?", (data, row[0]))
            link = link_group(link, group.boot, batch(group.rows[0][0], rows))
            if whole_chain:
                database.execute("UPDATE records SET chain = ? WHERE number = ?", (link, group.head.number))
        database.execute(trigger)
    database.close()
    assert done


def test_a_journal_that_was_cut_is_shown(world):
    """Records that the session knew to be durable are missing at the end."""
    with JournalReader(world / "journal.db") as reader:
        *_, before, _last = reader.groups()
    with sqlite3.connect(world / "journal.db") as database:
        database.execute("DROP TRIGGER records_stay")
        database.execute("DELETE FROM records WHERE number > ?", (before.head.number,))
        database.execute(
            "CREATE TRIGGER records_stay BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END"
        )
    database.close()
    status, out, _ = replayed(world)
    assert status == 1
    assert f"record {before.head.number + 1} was durable in the session, and the journal ends before it" in out


def test_a_changed_byte_of_the_log_is_shown(world):
    """Up to it all is compared; then the place in the file is told, with status 1."""
    log = world / "journal.db.inputs-1"
    data = bytearray(log.read_bytes())
    place = place_of_frame(log, 6) + HEAD + 3
    data[place] ^= 1
    log.write_bytes(data)
    status, out, _ = replayed(world)
    assert status == 1
    assert f"it was changed or damaged at byte {place_of_frame(log, 6)}" in out
    assert ", 4 ticks" in out


def place_of_frame(log: Path, index: int) -> int:
    """Return where a frame of a log begins; the first two are what it is of."""
    reader = FrameReader(log, MAGIC)
    for _ in zip(range(index), reader, strict=False):
        pass
    return reader.position


def test_an_input_that_was_changed_is_shown(world):
    """An input log that somebody has changed with care leads to other records."""
    log = world / "journal.db.inputs-1"
    payloads = list(FrameReader(log, MAGIC))
    changed = [payload.replace(b"one", b"two", 1) for payload in payloads]
    assert changed != payloads
    log.write_bytes(MAGIC + b"".join(map(framed, changed)))
    status, out, _ = replayed(world)
    assert status == 1
    assert " differs" in out


def test_a_tick_that_was_taken_out_is_shown(world):
    """A log without one of its ticks is found at the next record."""
    log = world / "journal.db.inputs-1"
    payloads = list(FrameReader(log, MAGIC))
    (taken,) = [index for index, payload in enumerate(payloads) if b"nobody" in payload][:1]
    log.write_bytes(MAGIC + b"".join(map(framed, payloads[:taken] + payloads[taken + 1 :])))
    assert replayed(world)[0] == 1


def test_a_log_that_was_cut_and_given_an_end_is_shown(world):
    """The journal has records that no tick makes, and the log says that there were no more ticks."""
    log = world / "journal.db.inputs-1"
    payloads = list(FrameReader(log, MAGIC))
    (begin, *_) = [index for index, payload in enumerate(payloads) if b"nobody" in payload]
    log.write_bytes(MAGIC + b"".join(map(framed, [*payloads[:begin], payloads[-1]])))
    status, out, _ = replayed(world)
    assert status == 1
    assert " is not made by replay" in out
    assert "replay   none" in out


def test_what_breaks_replay_off_is_told(world, monkeypatch):
    """An input that the core cannot take ends replay with its traceback, as a difference."""
    log = world / "journal.db.inputs-1"
    codec = input_log.InputCodec(input_log.kinds())
    payloads = list(FrameReader(log, MAGIC))
    payloads.insert(5, codec.encode([0, ["no input"]]))
    log.write_bytes(MAGIC + b"".join(map(framed, payloads)))
    status, out, _ = replayed(world)
    assert status == 1
    assert "replay broke off" in out
    assert "KeyError" in out


# --- Ends --------------------------------------------------------------------------------------------------------------


def test_a_torn_log_is_read_up_to_the_tear(world):
    """Whatever a kill leaves of the last frame, the ticks before it are compared, and it is said what is not."""
    log = world / "journal.db.inputs-1"
    whole = log.read_bytes()
    begin = place_of_frame(log, 8)
    for length in (begin, begin + 1, begin + HEAD - 1, begin + HEAD, begin + HEAD + 1):
        log.write_bytes(whole[:length])
        status, out, problems = replayed(world)
        assert status == 0
        assert ", 6 ticks" in out
        assert "the log has no end" in problems
        assert "more records of the session are not compared" in problems


def test_zeros_after_a_power_cut_are_a_torn_end(world):
    """A file that is longer than what reached the disk ends in zeros."""
    log = world / "journal.db.inputs-1"
    log.write_bytes(log.read_bytes()[: place_of_frame(log, 8)] + bytes(5000))
    status, out, problems = replayed(world)
    assert (status, ", 6 ticks" in out, "the log has no end" in problems) == (0, True, True)


def test_a_log_that_ends_before_its_first_tick_is_refused(world):
    """Without what the core was made of there is nothing to replay: status 2, and the reason."""
    log = world / "journal.db.inputs-1"
    whole = log.read_bytes()
    for length in (len(MAGIC), len(MAGIC) + 5, place_of_frame(log, 1), place_of_frame(log, 1) + 5):
        log.write_bytes(whole[:length])
        status, out, problems = replayed(world)
        assert (status, out) == (2, "")
        assert problems.startswith(f"{log}: it")


# --- Refused -----------------------------------------------------------------------------------------------------------


def test_a_log_of_another_journal_is_refused_by_name(world, tmp_path):
    """Both files are named, and what the log began after; nothing is replayed."""
    anyio.run(record, (tmp_path / "other").mkdir() or tmp_path / "other")
    status, out, problems = command(
        "replay", world / "journal.db.inputs-1", "--journal", tmp_path / "other" / "journal.db"
    )
    assert (status, out) == (2, "")
    assert (
        f"{world / 'journal.db.inputs-1'}: it is of another journal than {tmp_path / 'other' / 'journal.db'}"
        in problems
    )


def test_a_log_that_is_not_there_is_named(tmp_path):
    """Whether or not its name says which journal it would belong to."""
    for name in ("nothing", "journal.db.inputs-7"):
        status, _, problems = command("replay", tmp_path / name)
        assert (status, problems) == (2, f"{tmp_path / name}: it cannot be read: No such file or directory\n")


@pytest.mark.parametrize("missing", ["journal.db", "journal.db.inputs-1"])
def test_a_missing_file_is_status_2(world, missing):
    """One line with the name of the file."""
    (world / missing).unlink()
    status, out, problems = replayed(world)
    assert (status, out, problems.count("\n")) == (2, "", 1)
    assert str(world / missing) in problems


def test_what_is_no_input_log_is_refused(world):
    """A journal in its place, say."""
    (world / "journal.db.inputs-1").write_bytes((world / "journal.db").read_bytes())
    status, _, problems = replayed(world)
    assert status == 2
    assert "this is not an input log of Ordersmith" in problems


def rewrite_header(log: Path, **changes) -> None:
    payloads = list(FrameReader(log, MAGIC))
    fields = msgspec.msgpack.decode(payloads[0]) | changes
    log.write_bytes(MAGIC + b"".join(map(framed, [msgspec.msgpack.encode(fields), *payloads[1:]])))


def test_another_format_is_refused(world):
    """The format of the log is looked at before anything else of it."""
    rewrite_header(world / "journal.db.inputs-1", format=99, boot="?")
    status, _, problems = replayed(world)
    assert status == 2
    assert "the log has format 99, this version of Ordersmith reads 1" in problems


def test_other_code_is_refused_unless_somebody_insists(world):
    """What other code recorded may be decided otherwise; --any-version replays all the same and says so."""
    rewrite_header(world / "journal.db.inputs-1", state_format="0123", ordersmith="0.0.9")
    status, _, problems = replayed(world)
    assert status == 2
    assert "Ordersmith 0.0.9 recorded it, with code 0123" in problems
    assert "--any-version" in problems
    status, out, problems = replayed(world, "--any-version")
    assert (status, "identical: " in out) == (0, True)
    assert "note: Ordersmith 0.0.9 recorded it, with other code" in problems


def test_a_type_that_this_version_does_not_know_is_named(world):
    """A log of a newer version may have inputs that nobody here has heard of."""
    log = world / "journal.db.inputs-1"
    names = header_of(log).kinds
    rewrite_header(log, kinds=["messages.Newer" if name == "actors.messages.SubmitOrders" else name for name in names])
    status, _, problems = replayed(world)
    assert status == 2
    assert "messages.Newer: this version knows no such type" in problems


def header_of(log: Path) -> Header:
    with InputLogReader(log) as logged:
        return logged.header
