"""The journal commands as a person calls them: what they print, what they write, and their exit status."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
import polars
import pytest
from journal_kit import batch, encoded, ordinary_user, records, session

from ordersmith.actors.events import MessagePoisoned, OrderIntended
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.supervisor import journal_commands

INTENDED = msgspec.json.encode(msgspec.structs.asdict(OrderIntended("x-1", "x-1.1"))).decode()


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="ordersmith")
    journal_commands.add_parser(parser.add_subparsers(dest="command", required=True))
    chosen = parser.parse_args(["journal", *map(str, arguments)])
    return chosen.run(chosen)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed journal of 20 records in 4 commits."""

    async def write() -> None:
        async with session(tmp_path / "x.journal") as running:
            await running.append(1, 9, 5)
            running.hand_over([*records(16, 19), encoded(20, MessagePoisoned("desk", "Place", "ü"))])
            await running.until(lambda: running.store.durable == 20)

    anyio.run(write)
    return tmp_path / "x.journal"


def spoil(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript("DROP TRIGGER records_keep; UPDATE records SET data = x'00' WHERE number = 12;")
    database.execute(
        "CREATE TRIGGER records_keep BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are never changed'); END"
    )
    database.close()


# --- verify ----------------------------------------------------------------------------------------------------------


def test_verify_says_that_all_is_well(path: Path, capsys) -> None:
    """A whole journal is status 0, with its counts and the head that a later check can start from."""
    assert run("verify", path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{path}: 20 records in 4 commits and 1 boots, as written"
    assert run("verify", path, "--head", second.removeprefix("head ")) == 0


def test_verify_names_the_first_bad_group(path: Path, capsys) -> None:
    """A changed journal is status 1; the message names the file, the group, and how far it is whole."""
    spoil(path)
    assert run("verify", path) == 1
    seen = capsys.readouterr()
    assert seen.out == ""
    assert f"{path}: " in seen.err
    assert "the group of records 11 to 15, after 10: it is not as it was written" in seen.err
    assert "Up to record 10 (2 commits) it is as it was written." in seen.err


def test_verify_finds_a_cut_end(path: Path, capsys) -> None:
    """With a head that was noted before, a journal that does not go through it is status 1."""
    assert run("verify", path, "--head", "20:" + "00" * 32) == 1
    assert "its end was cut off or replaced" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("verify", path, "--head", "twenty")
    assert "'twenty' is no head" in capsys.readouterr().err


# --- What cannot be read, or is not as it was ------------------------------------------------------------------------------

NOT_OURS = "this is not a journal of Ordersmith; name another file"
NO_RIGHT = "this user has no right to it; correct the owner or the rights of the folder and the file"
DAMAGED = "the file is damaged; run `ordersmith journal verify` on it and restore a backup"
CHANGED = "the contents were changed by something else; run `ordersmith journal verify` on it and restore a backup"
NEWER = "a newer Ordersmith wrote it; use that version, or another journal"


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("text " * 1000)


def other_program(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE something (x)")


def newer_version(path: Path) -> None:
    change(path, "PRAGMA user_version = 99", "UPDATE header SET version = 99")


def newer_encoding(path: Path) -> None:
    change(path, "UPDATE header SET encoding = 99")


def cut_in_the_first_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def cut_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_header(path: Path) -> None:
    change(path, "DELETE FROM header")


def file_without_rights(path: Path) -> None:
    path.chmod(0)


def folder_without_rights(path: Path) -> None:
    path.parent.chmod(0)


def change(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


RUINS: dict[Callable[[Path], None], tuple[int, str]] = {
    missing: (2, "there is no such file or folder; check the name, or make the folder"),
    folder: (2, NOT_OURS),
    empty: (2, NOT_OURS),
    text: (2, NOT_OURS),
    other_program: (2, NOT_OURS),
    newer_version: (2, f"{NEWER} (version 99; this one reads up to 1)"),
    newer_encoding: (2, f"{NEWER} (encoding 99; this one reads up to 1)"),
    file_without_rights: (2, NO_RIGHT),
    folder_without_rights: (2, NO_RIGHT),
    cut_in_the_first_page: (2, NOT_OURS),
    cut_in_the_middle: (1, DAMAGED),
    without_header: (1, CHANGED),
    spoil: (1, f"{CHANGED} (the group of records 11 to 15, after 10: it is not as it was written)"),
}


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the files in a folder, without those that SQLite makes to read."""
    made = (".journal-wal", ".journal-shm")
    files = [file for file in folder.iterdir() if file.is_file() and not file.name.endswith(made)]
    return {
        file.name: (file.stat().st_mode, file.read_bytes() if file.stat().st_mode & 0o400 else b"") for file in files
    }


@pytest.mark.parametrize("action", ["verify", "show", "export"])
@pytest.mark.parametrize("how", RUINS, ids=lambda how: how.__name__)
def test_what_is_wrong_is_one_line(action: str, how: Callable[[Path], None], path: Path, capsys) -> None:
    """Whatever the file is, each command says in one line what is wrong and what to do, by its status too, and changes nothing."""
    status, text = RUINS[how]
    data = path.read_bytes()
    with ordinary_user() as home:
        copy = home / "folder" / "x.journal"
        copy.parent.mkdir()
        copy.write_bytes(data)
        how(copy)
        before = {} if how is folder_without_rights else contents(copy.parent)
        found = run(action, copy)
        copy.parent.chmod(0o700)
        assert before in ({}, contents(copy.parent))
    assert found == status
    first, *more = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{copy}: {text}")
    how_far = ["Up to record 10 (2 commits) it is as it was written."]
    assert more == (how_far if how is spoil and action == "verify" else [])


@pytest.mark.parametrize("action", ["verify", "show", "export"])
def test_what_may_only_be_read_is_read(action: str, path: Path, capsys) -> None:
    """A journal in a folder where nothing may be made, a backup for example, is read, and nothing is made."""
    data = path.read_bytes()
    with ordinary_user() as home:
        copy = home / "folder" / "x.journal"
        copy.parent.mkdir()
        copy.write_bytes(data)
        copy.chmod(0o400)
        copy.parent.chmod(0o500)
        assert run(action, copy) == 0
        assert [file.name for file in copy.parent.iterdir()] == ["x.journal"]
    assert len(capsys.readouterr().out.splitlines()) == (2 if action == "verify" else 20)


def test_a_log_that_cannot_be_read_is_not_passed_over(path: Path, capsys) -> None:
    """Where nothing may be made, a journal whose last records are in its log is refused, not shown without them."""
    data = path.read_bytes()
    with ordinary_user() as home:
        copy = home / "folder" / "x.journal"
        copy.parent.mkdir()
        copy.write_bytes(data)
        copy.with_name("x.journal-wal").write_bytes(b"the last records")
        copy.parent.chmod(0o500)
        assert run("show", copy) == 2
    assert NO_RIGHT in capsys.readouterr().err


# --- show ------------------------------------------------------------------------------------------------------------


def shown(capsys) -> list[int]:
    return [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]


def test_show_prints_a_line_a_record(path: Path, capsys) -> None:
    """Each line has the number, the time to the nanosecond, the event, its fields by name, and the cause."""
    assert run("show", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[0].split() == [
        "1", "1970-01-01T00:00:00.000001000Z", "OrderIntended", INTENDED, "cause", "-1",
    ]  # fmt: skip
    assert "ü" in lines[-1]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--after", "17"], [18, 19, 20]),
        (["--order", "x-2"], [2, 7, 12, 17]),
        (["--type", "OrderCancelRequested"], [7, 14]),
        (["--type", "OrderCancelRequested", "--type", "MessagePoisoned"], [7, 14, 20]),
        (["--order", "x-2", "--type", "OrderIntended", "--after", "2"], [12, 17]),
        (["--order", "nobody"], []),
    ],
)
def test_show_picks_what_is_asked_for(path: Path, options: list[str], numbers: list[int], capsys) -> None:
    """--after, --order and --type each leave out the others, together too."""
    assert run("show", path, *options) == 0
    assert shown(capsys) == numbers


def test_show_stops_at_what_is_not_as_written(path: Path, capsys) -> None:
    """The records before the first bad group are shown, those in and after it are not, and the status is 1."""
    spoil(path)
    assert run("show", path) == 1
    seen = capsys.readouterr()
    assert len(seen.out.splitlines()) == 10
    assert "11 to 15" in seen.err


def test_show_follows_a_running_writer(tmp_path: Path, capsys) -> None:
    """Beside a running store, --follow prints each commit when it is there, once, until it is interrupted."""
    path = tmp_path / "x.journal"

    async def main() -> None:
        async with session(path) as running:
            await running.append(2)
            chosen = argparse.Namespace(file=path, after=1, order=None, type=None, follow=True)
            seen: list[list[int]] = []

            def wait() -> None:
                seen.append(shown(capsys))
                if len(seen) == 4:
                    raise KeyboardInterrupt
                if len(seen) != 2:
                    anyio.from_thread.run(running.append, 2)

            def follow() -> None:
                with pytest.raises(KeyboardInterrupt):
                    journal_commands.show(chosen, wait)

            await anyio.to_thread.run_sync(follow)
            assert [numbers for numbers in seen if numbers] == [[2], [3, 4], [5, 6]]

    anyio.run(main)


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_writes_json_lines(path: Path, tmp_path: Path, capsys) -> None:
    """On standard output and in a file: one object a record, with its fields by name."""
    assert run("export", path, "--after", "18") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["number"] for entry in objects] == [19, 20]
    named = msgspec.structs.asdict(MessagePoisoned("desk", "Place", "ü"))
    assert objects[1] == {"number": 20, "at_ns": 20000, "cause": -1, "event": "MessagePoisoned"} | named
    out = tmp_path / "x.jsonl"
    assert run("export", path, "--out", out) == 0
    assert [json.loads(line)["number"] for line in out.read_text(encoding="utf-8").splitlines()] == list(range(1, 21))


def test_export_writes_parquet(path: Path, tmp_path: Path, monkeypatch) -> None:
    """A table with a row a record, made of frames of any size, of none too."""
    monkeypatch.setattr(journal_commands, "FRAME_ROWS", 7)
    out = tmp_path / "x.parquet"
    assert run("export", path, "--out", out) == 0
    frame = polars.read_parquet(out)
    assert frame["number"].to_list() == list(range(1, 21))
    assert frame.row(0, named=True) == {
        "number": 1,
        "at_ns": 1000,
        "cause": -1,
        "event": "OrderIntended",
        "client_order_id": "x-1",
        "fields": INTENDED,
    }
    assert frame["client_order_id"][-1] is None
    assert run("export", path, "--out", out, "--order", "nobody") == 0
    assert len(polars.read_parquet(out)) == 0


def test_export_leaves_nothing_half_done(path: Path, tmp_path: Path, capsys) -> None:
    """Where the journal is not as it was written, or the name says nothing, no file appears and an older one stays."""
    (tmp_path / "x.jsonl").write_text("older")
    spoil(path)
    before = sorted(tmp_path.iterdir())
    assert run("export", path, "--out", tmp_path / "x.jsonl") == 1
    assert run("export", path, "--out", tmp_path / "x.parquet") == 1
    assert run("export", path, "--out", tmp_path / "x.txt") == 2
    assert "must end in .jsonl or .parquet" in capsys.readouterr().err
    assert run("export", path, "--out", tmp_path / "nowhere" / "x.jsonl") == 2
    assert [
        file for file in sorted(tmp_path.iterdir()) if file.suffix not in {".journal-wal", ".journal-shm"}
    ] == before
    assert (tmp_path / "x.jsonl").read_text() == "older"


def test_all_three_work_beside_a_running_writer(tmp_path: Path, capsys) -> None:
    """Verifying, showing and exporting a journal that is being written see what is durable, and do not disturb it."""
    path = tmp_path / "x.journal"

    async def main() -> None:
        store = SqliteJournal(path, ballast_bytes=0)
        await store.open()
        async with anyio.create_task_group() as group:
            group.start_soon(store.run)
            for number in range(1, 6):
                done = anyio.Event()
                store.append(
                    *batch(number, [encoded(number, OrderIntended("x", "x.0"))]), lambda _, done=done: done.set()
                )
                await done.wait()
                for action in ("verify", "show", "export"):
                    assert await anyio.to_thread.run_sync(run, action, path) == 0
            assert await store.close()

    anyio.run(main)
    assert capsys.readouterr().err == ""
