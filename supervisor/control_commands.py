"""`ordersmith status | halt | resume | cancel | resolve CONFIG`: what a person asks of a running service.

Answers go to standard output, all else to standard error. Exit status: 0 for what was done, 1 for what the service refused,
2 if nothing runs, or for wrong usage.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.errors import ConfigError, OrdersmithError
from ..config import examine
from ..config.describing import number_text
from .control_requests import (
    ANSWER_BYTES,
    ANSWER_WITHIN_S,
    REQUEST_BYTES,
    Answer,
    AnyRequest,
    Cancel,
    GetStatus,
    Halt,
    ResolveOrder,
    ResolveSymbol,
    Resume,
    decode_answer,
    decode_request,
    encode,
)
from .control_socket import control_path, socket_path

if TYPE_CHECKING:
    from .status import Status

CONNECT_WITHIN_S = 5.0

Make = Callable[[argparse.Namespace], AnyRequest]


# --- Usage -------------------------------------------------------------------------------------------------------------


def add_parsers(commands: Any) -> None:
    """Add the commands to the subparsers of the command line; each sets `run`, from what was chosen to a status."""
    _add(commands, "status", "say how a running service is", lambda _: GetStatus())

    halt = _add(commands, "halt", "halt trading; cancels, protection and liquidation still pass", _halt)
    _add_reason(halt, default="halted by hand")

    resume = _add(commands, "resume", "resume trading", lambda chosen: Resume(chosen.reason))
    _add_reason(resume)

    cancel = _add(commands, "cancel", "cancel orders", lambda chosen: Cancel(tuple(chosen.ids), chosen.every))
    cancel.add_argument("ids", metavar="ID", nargs="*", help="a client order id")
    cancel.add_argument("--all", dest="every", action="store_true", help="cancel every open order")

    resolve = commands.add_parser(
        "resolve",
        help="say what became of an order, or of a symbol, that nobody can prove",
        description="Say what became of an order in doubt, or how a disagreement with the broker ends. It is journaled.",
    )
    kinds = resolve.add_subparsers(dest="kind", metavar="KIND", required=True)
    order = _add(kinds, "order", "an order in doubt or in quarantine", _resolve_order)
    order.add_argument("id", metavar="ID", help="its client order id")
    order.add_argument(
        "--as",
        dest="verdict",
        required=True,
        choices=("absent", "filled", "release"),
        help="absent: the broker does not have it; filled: it filled, and nothing of it is open; release: a quarantined order "
        "is looked after again",
    )
    order.add_argument("--quantity", type=_number, help="with filled: how much filled (default: all that was missing)")
    order.add_argument("--price", type=_number, help="with filled: at which price (default: its limit)")
    _add_reason(order)
    symbol = _add(kinds, "symbol", "a symbol that is frozen, since the broker's books differ", _resolve_symbol)
    symbol.add_argument("symbol", metavar="SYMBOL", help="the symbol; '' for cash")
    symbol.add_argument(
        "--as",
        dest="verdict",
        required=True,
        choices=("adopt", "release"),
        help="adopt: take over what the broker says; release: the books agree again",
    )
    _add_reason(symbol)


def _add(commands: Any, name: str, text: str, make: Make) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}. CONFIG is that of the running service."
    )
    parser.add_argument("config", metavar="CONFIG", help="YAML file with the settings of the running service")
    parser.add_argument("--json", action="store_true", help="print the answer as one JSON object")
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a setting, as for `ordersmith run`; only journal.path matters here",
    )
    parser.set_defaults(run=lambda chosen: _asked(make, chosen), parser=parser)
    return parser


def _add_reason(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--reason",
        metavar="TEXT",
        required=default is None,
        default=default,
        help="why; it is written into the journal" + (f" (default: {default})" if default else ""),
    )


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _halt(chosen: argparse.Namespace) -> Halt:
    return Halt(chosen.reason)


def _resolve_order(chosen: argparse.Namespace) -> ResolveOrder:
    return ResolveOrder(chosen.id, chosen.verdict, chosen.reason, chosen.quantity, chosen.price)


def _resolve_symbol(chosen: argparse.Namespace) -> ResolveSymbol:
    return ResolveSymbol(chosen.symbol, chosen.verdict, chosen.reason)


# --- Ask ---------------------------------------------------------------------------------------------------------------


class NobodyThere(OrdersmithError):
    """No service answers."""


def _asked(make: Make, chosen: argparse.Namespace) -> int:
    line = encode(make(chosen)) + b"\n"
    try:
        decode_request(line)
    except msgspec.ValidationError as error:
        chosen.parser.error(str(error))
    if len(line) > REQUEST_BYTES:
        chosen.parser.error(f"too much for one request ({len(line)} bytes, at most {REQUEST_BYTES}); ask in parts")
    try:
        answer = ask(journal_of(chosen.config, chosen.set), line, chosen.config)
    except NobodyThere as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _print(answer, as_json=chosen.json)
    return 0 if answer.done else 1


def journal_of(config: str, overrides: Sequence[str]) -> Path:
    """Return the path of the journal that a configuration names.

    What else is wrong with it does not matter: a service must be halted also while somebody edits its file. Raises ConfigError.
    """
    settings, problems = examine(config, overrides)
    wrong = [str(problem) for problem in problems if problem.path.partition(".")[0] in ("", "journal")]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings.resolve(settings.journal.path)


def ask(journal: Path, line: bytes, config: str) -> Answer:
    """Send one request and wait for its answer. Raises NobodyThere."""
    path = socket_path(journal)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(CONNECT_WITHIN_S)
        try:
            caller.connect(str(path))
        except PermissionError as error:
            raise NobodyThere(f"{path}: the service belongs to another user; ask as that one") from error
        except OSError as error:
            raise NobodyThere(
                f"no service runs on {journal}: nobody answers at {control_path(journal)} ({error.strerror or error}); "
                f"start it with: ordersmith run {config}"
            ) from error
        caller.settimeout(ANSWER_WITHIN_S + CONNECT_WITHIN_S)
        try:
            caller.sendall(line)
            return decode_answer(_line_from(caller))
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise NobodyThere(
                f"{path}: the service broke off before it answered ({error}); what was asked may be done, look at the status"
            ) from error


def _line_from(caller: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        part = caller.recv(65536)
        if not part or len(received) > ANSWER_BYTES:
            raise EOFError("its answer has no end")
        received += part
    return bytes(received)


# --- Print -------------------------------------------------------------------------------------------------------------


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(encode(answer).decode() + "\n")
    elif not answer.done:
        sys.stderr.write(f"{answer.text}\n")
    elif isinstance(answer.result, dict) and "trading_reason" in answer.result:
        from .status import Status

        status = msgspec.convert(answer.result, Status, strict=False)
        sys.stdout.writelines(f"{name:<14}{value}\n" for name, value in described(status))
    else:
        sys.stdout.write(f"{answer.text}\n")


def described(status: Status) -> Iterator[tuple[str, str]]:
    """Yield what a person reads of a status, by name, from the whole to the parts."""
    text = f": {status.trading_text}" if status.trading_text else ""
    yield "trading", f"{status.trading_state} ({status.trading_reason}{text})"
    yield "session", f"{status.session} with {status.provider}, account {status.account}, mode {status.mode}"
    yield (
        "orders",
        ", ".join(
            f"{count} {what}"
            for count, what in (
                (status.open, "open"),
                (status.in_doubt, "in doubt"),
                (status.needing_person, "needing a person"),
                (status.quarantined, "quarantined"),
                (status.external, "not ours"),
            )
            if count or what == "open"
        ),
    )
    if status.frozen:
        yield (
            "frozen",
            ", ".join(
                f"{symbol or 'cash'} (the broker's minus ours: {number_text(offset)})"
                for symbol, offset in status.frozen.items()
            ),
        )
    yield "data", f"last {status.last_data}" if status.last_data else "none yet"
    yield "journal", status.journal
    yield "head", status.head
    if status.fault:
        yield "fault", status.fault
    if status.failure:
        yield "failure", status.failure
    yield "boot", f"{status.boot} of instance {status.instance}, process {status.process}, version {status.version}"
    for line in status.orders:
        flags = [name.replace("_", " ") for name in ("in_doubt", "needs_person", "quarantined") if getattr(line, name)]
        filled = f"{number_text(line.filled_quantity)} of {number_text(line.quantity)}"
        yield "", f"{line.client_order_id}  {line.side} {line.symbol}  {filled}  {', '.join([line.state, *flags])}"
