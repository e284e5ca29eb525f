"""The commands for a running service, without one: what they take, what they show, and what they say when nobody answers."""

from __future__ import annotations

import json
import socket
import threading
from decimal import Decimal

import pytest
from service_process import said_here

from ordersmith.actors.errors import ConfigError
from ordersmith.supervisor.control_commands import described, journal_of
from ordersmith.supervisor.control_requests import decode_request
from ordersmith.supervisor.control_socket import open_door
from ordersmith.supervisor.status import OrderLine, Status


@pytest.fixture
def config(tmp_path):
    (tmp_path / "service.yaml").write_text("journal: {path: journal.db}\n")
    return tmp_path / "service.yaml"


class Answering:
    """Somebody at the socket who takes one line and sends an answer of the test's."""

    def __init__(self, journal, answer):
        self.heard = None
        self._answer = answer
        self._door = open_door(journal)

    def __enter__(self):
        door, _ = self._door.__enter__()
        door.setblocking(True)
        self._thread = threading.Thread(target=self._serve, args=(door,))
        self._thread.start()
        return self

    def _serve(self, door):
        caller, _ = door.accept()
        with caller, caller.makefile("rb") as lines:
            self.heard = decode_request(lines.readline())
            caller.sendall(self._answer)
            caller.shutdown(socket.SHUT_WR)

    def __exit__(self, *error):
        self._thread.join(10)
        self._door.__exit__(*error)


# --- Which journal -----------------------------------------------------------------------------------------------------


def test_a_service_is_found_while_its_file_is_being_edited(config):
    """What else is wrong with a configuration keeps nobody from halting: only the journal's path has to be right."""
    config.write_text("journal: {path: j.db}\nrisk: {max_order_quantity: lots}\nnonsense: 1\n")
    assert journal_of(str(config), ()) == config.parent / "j.db"
    assert journal_of(str(config), ("journal.path=other.db",)) == config.parent / "other.db"


@pytest.mark.parametrize("text", ["journal: {path: 7}\n", "journal: 1\n", "journal: {path: [\n"])
def test_a_journal_that_is_not_named_is_not_guessed(config, text):
    """With a path that cannot be read nobody is called, least of all whoever has the default path."""
    config.write_text(text)
    with pytest.raises(ConfigError):
        journal_of(str(config), ())
    assert said_here("halt", str(config)).returncode == 2


# --- What is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["status", "CONFIG"], {"do": "status"}),
        (["halt", "CONFIG"], {"do": "halt", "reason": "halted by hand"}),
        (["resume", "CONFIG", "--reason", "fine"], {"do": "resume", "reason": "fine"}),
        (["cancel", "CONFIG", "a", "b"], {"do": "cancel", "order_ids": ["a", "b"], "every": False}),
        (["cancel", "CONFIG", "--all"], {"do": "cancel", "order_ids": [], "every": True}),
        (
            [
                "resolve",
                "order",
                "CONFIG",
                "a",
                "--as",
                "filled",
                "--quantity",
                "1.10",
                "--price",
                "9",
                "--reason",
                "x",
            ],
            {
                "do": "resolve order",
                "order_id": "a",
                "verdict": "filled",
                "reason": "x",
                "quantity": "1.10",
                "price": "9",
            },
        ),
        (
            ["resolve", "symbol", "CONFIG", "", "--as", "adopt", "--reason", "x"],
            {"do": "resolve symbol", "symbol": "", "verdict": "adopt", "reason": "x"},
        ),
    ],
)
def test_words_become_a_request(config, words, asked):
    """Each command sends one request, numbers exactly as they were typed, and prints the answer."""
    words = [str(config) if word == "CONFIG" else word for word in words]
    answer = {"done": True, "text": "as you say", "result": None}
    with Answering(config.parent / "journal.db", json.dumps(answer).encode() + b"\n") as service:
        done = said_here(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "as you say\n", "")
    assert service.heard == decode_request(json.dumps(asked))


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "CONFIG"],
        ["resume", "CONFIG", "--reason", " "],
        ["halt", "CONFIG", "--reason", "x" * 1001],
        ["cancel", "CONFIG", "x" * 65],
        ["resolve", "order", "CONFIG", "a", "--as", "gone", "--reason", "x"],
        ["resolve", "order", "CONFIG", "a", "--as", "filled", "--price", "cheap", "--reason", "x"],
        ["resolve", "CONFIG"],
    ],
)
def test_wrong_words_are_usage_errors(config, words):
    """What cannot be a request is refused here, with status 2, and nobody is called."""
    done = said_here(*(str(config) if word == "CONFIG" else word for word in words))
    assert done.returncode == 2
    assert "usage: ordersmith" in done.stderr


# --- What is answered --------------------------------------------------------------------------------------------------


def test_a_refusal_is_text_with_status_1(config):
    """It goes to standard error; as JSON it is the answer all the same."""
    line = b'{"done": false, "text": "nothing to resolve"}\n'
    with Answering(config.parent / "journal.db", line):
        done = said_here("cancel", str(config), "a")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "nothing to resolve\n")
    with Answering(config.parent / "journal.db", line):
        done = said_here("cancel", str(config), "a", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"done": False, "text": "nothing to resolve", "result": None}


@pytest.mark.parametrize("said", [b"", b'{"done": tr', b"nonsense\n", b'{"done": 1, "text": 2}\n'])
def test_an_answer_that_is_none_is_told(config, said):
    """A service that ends before it has answered, or answers nonsense, may have done what was asked: that is said."""
    with Answering(config.parent / "journal.db", said):
        done = said_here("halt", str(config))
    assert done.returncode == 2
    assert "look at the status" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_status_shows_what_needs_a_person():
    """Frozen symbols, a fault of the journal and every trouble of an order have words of their own."""
    order = OrderLine("a-1", "BUY", "A", Decimal("10.0"), Decimal(3), "SUBMITTED", True, True, True)
    status = Status(
        mode="live",
        provider="alpaca",
        account="main",
        instance="os",
        boot=7,
        epoch="abc",
        version="1",
        process=99,
        time="2020-01-06T00:00:00+00:00",
        trading_state="HALTED",
        trading_reason="POSITION_MISMATCH",
        trading_text="A",
        session="READY",
        open=1,
        in_doubt=1,
        needing_person=1,
        quarantined=1,
        external=2,
        orders=(order,),
        frozen={"A": Decimal("-5.0"), "": Decimal(1)},
        last_data=None,
        journal="journal.db",
        head="1:ab",
        fault="the disk is full",
        failure="",
    )
    assert list(described(status)) == [
        ("trading", "HALTED (POSITION_MISMATCH: A)"),
        ("session", "READY with alpaca, account main, mode live"),
        ("orders", "1 open, 1 in doubt, 1 needing a person, 1 quarantined, 2 not ours"),
        ("frozen", "A (the broker's minus ours: -5), cash (the broker's minus ours: 1)"),
        ("data", "none yet"),
        ("journal", "journal.db"),
        ("head", "1:ab"),
        ("fault", "the disk is full"),
        ("boot", "7 of instance os, process 99, version 1"),
        ("", "a-1  BUY A  3 of 10  SUBMITTED, in doubt, needs person, quarantined"),
    ]
