"""What is said of the place where a journal lies."""

from __future__ import annotations

import os

import pytest

from ordersmith.adapters import disk_checks
from ordersmith.adapters.disk_checks import check_journal_place, file_system_of, sync_times
from ordersmith.adapters.journal_files import FileLock

MOUNTS = """\
/dev/root / ext4 rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
overlay {overlay} overlay rw 0 0
/dev/sdb1 {space} xfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path):
    """Say which folders are on which file systems."""
    for name in ("layer", "with space"):
        (tmp_path / name).mkdir()
    file = tmp_path / "mounts"
    file.write_text(
        MOUNTS.format(overlay=tmp_path / "layer", space=str(tmp_path / "with space").replace(" ", "\\040")),
        encoding="utf-8",
    )
    return file


def by_name(findings):
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(("folder", "kind"), [("", "ext4"), ("layer", "overlay"), ("with space", "xfs")])
def test_the_file_system_is_the_one_mounted_nearest(tmp_path, mounts, folder, kind):
    """The longest mount point above a folder counts, with its spaces read as they are written."""
    assert file_system_of(tmp_path / folder, mounts) == kind


def test_no_list_of_mounts_names_no_file_system(tmp_path):
    """Where the system has no such list nothing is claimed."""
    assert file_system_of(tmp_path, tmp_path / "none") == ""


def test_a_journal_on_a_layer_of_a_container_is_wrong(tmp_path, mounts):
    """What does not outlive a restart is no place for a journal."""
    finding = by_name(check_journal_place(tmp_path / "layer" / "journal.db", mounts))["journal disk"]
    assert finding.ok is False
    assert "overlay" in finding.found
    assert finding.to_do


def test_a_folder_that_is_missing_is_wrong(tmp_path):
    """Nothing else is looked at without a folder."""
    (finding,) = check_journal_place(tmp_path / "none" / "journal.db")
    assert (finding.name, finding.ok) == ("journal", False)


def test_a_journal_that_is_traded_is_told(tmp_path):
    """Another process that has the journal is named, and one that is free is left free."""
    journal = tmp_path / "journal.db"
    assert "will be made" in by_name(check_journal_place(journal))["journal file"].found
    journal.touch()
    assert by_name(check_journal_place(journal))["journal file"].ok is True
    lock = FileLock(journal)
    lock.take()
    finding = by_name(check_journal_place(journal))["journal file"]
    lock.release()
    assert finding.ok is None
    assert str(os.getpid()) in finding.found


def test_syncs_are_measured_in_rising_order(tmp_path):
    """A folder that can be written gives as many times as were asked for, and keeps nothing."""
    times = sync_times(tmp_path)
    assert times == sorted(times)
    assert len(times) == disk_checks.SYNCS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "ok"), [(1e-6, None), (1e-3, True), (0.2, None)])
def test_a_disk_that_is_too_fast_or_slow_is_worth_knowing(tmp_path, monkeypatch, seconds, ok):
    """No disk syncs in a microsecond, and each order waits for a sync."""
    monkeypatch.setattr(disk_checks, "sync_times", lambda folder: [seconds] * 3)
    assert by_name(check_journal_place(tmp_path / "j.db"))["journal sync"].ok is ok
