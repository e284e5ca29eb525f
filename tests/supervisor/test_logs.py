"""The service's log: one stream, one form, the level that was asked for, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import sys
import urllib.parse
import warnings
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import structlog

from ordersmith.actors.model import Side
from ordersmith.config import Secret, load
from ordersmith.supervisor.logs import CAPPED, hide, secrets_of, service_logging

CANARIES = ('PK"CANARY\'one"\\', "canary two/ü=%&")
"""With all that quoting and encoding changes."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def settings(monkeypatch):
    """Return settings whose secrets are the canaries, one from the environment and one in the file."""
    monkeypatch.setenv("CANARY", CANARIES[0])

    def made(**service):
        keys = {"api_key": "${CANARY}", "api_secret": CANARIES[1]}
        return load({"execution": {"alpaca": keys}, "service": {k: str(v) for k, v in service.items()}})

    return made


def logged(settings, act, stream=None):
    """Return what is written while `act` runs."""
    stream = stream or io.StringIO()
    with service_logging(settings, stream):
        act()
    return stream.getvalue()


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_an_object_with_time_level_and_event_first(settings):
    """Off a terminal each line is JSON: UTC time, level, event and logger, then the fields, exact numbers as text."""

    def act():
        log = structlog.get_logger("ordersmith.service").bind(actor="desk")
        log.info("order.accepted", client_order_id="os-1-1", quantity=Decimal("1E+2"), side=Side.BUY)

    (line,) = objects(logged(settings(), act))
    assert list(line)[:4] == ["timestamp", "level", "event", "logger"]
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {
        "level": "info",
        "event": "order.accepted",
        "logger": "ordersmith.service",
        "actor": "desk",
        "client_order_id": "os-1-1",
        "quantity": "100",
        "side": "BUY",
    }


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [("auto", io.StringIO, True), ("auto", Terminal, False), ("json", Terminal, True), ("console", io.StringIO, False)],
)
def test_the_form_follows_the_terminal_unless_configured(settings, monkeypatch, form, stream, is_json):
    """A terminal gets lines for a person, with colours unless NO_COLOR is set; anything else gets JSON; a setting overrides both."""
    act = lambda: structlog.get_logger().warning("breaker.tripped", account="paper")
    text = logged(settings(log=form), act, stream())
    assert text.startswith("{") == is_json
    assert ("\x1b[" in text) == (stream is Terminal and not is_json)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = logged(settings(log=form), act, stream())
    assert "\x1b[" not in plain
    assert "breaker.tripped" in plain
    assert "paper" in plain


@pytest.mark.parametrize(("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_that_is_logged(settings, level, heard):
    """What is below the configured level is dropped, from structlog and from a strategy's own logger alike."""

    def act():
        for log in (structlog.get_logger(), logging.getLogger("strategy.mine")):
            for method in ("debug", "info", "warning", "error"):
                getattr(log, method)("happened")

    lines = objects(logged(settings(log_level=level), act))
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error"][-heard:] * 2


@pytest.mark.parametrize("name", sorted(CAPPED))
def test_libraries_are_heard_from_warning_on(settings, name):
    """A library that logs its traffic is not heard below WARNING, whatever level it gives its own loggers."""
    child = logging.getLogger(f"{name}.client")

    def act():
        child.setLevel(logging.DEBUG)
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)  # so that it does not even put its lines together
        for log in (logging.getLogger(name), child):
            log.debug("frame")
            log.info("frame")
            log.warning("trouble")

    try:
        lines = objects(logged(settings(log_level="debug"), act))
    finally:
        child.setLevel(logging.NOTSET)
    assert [(line["logger"], line["event"]) for line in lines] == [(name, "trouble"), (f"{name}.client", "trouble")]


def test_a_cap_does_not_make_a_library_louder(settings):
    """At level error a library's warning is not heard either."""
    assert logged(settings(log_level="error"), lambda: logging.getLogger("asyncio").warning("slow")) == ""


class Broken:
    """An object that shows a secret, as a library's request does."""

    def __repr__(self) -> str:
        return f"<Request key={CANARIES[0]!r} secret={CANARIES[1]!r}>"


def say_everything(settings):
    """Log the canaries in every way that we could think of."""
    key, secret = secrets_of(settings)
    log = structlog.get_logger("ordersmith")
    for canary in CANARIES:
        log.debug(canary)
        log.debug("in.fields", field=canary, **{canary: 1})
        log.info("in.parts", nested={"a": [canary, {"b": canary}]}, data=canary.encode(), size=len(canary))
        log.info("in.address", url=f"https://x/?k={urllib.parse.quote(canary)}&s={urllib.parse.quote_plus(canary)}")
        log.bind(bound=canary).warning("bound")
        logging.getLogger("strategy").debug("sent %s with %r", canary, canary)
        logging.getLogger("urllib3.connectionpool").debug("GET /?key=%s", canary)
        logging.getLogger("websockets.client").warning("> TEXT %r", {"key": canary})
        warnings.warn(f"deprecated: {canary}", stacklevel=1)
        try:
            local = {"key": canary}
            raise ValueError(f"refused: {canary}") from KeyError(local["key"])
        except ValueError:
            log.exception("crashed")
            logging.getLogger("strategy").exception("crashed too")
    log.error("objects", key=key, secret=secret, settings=settings, request=Broken(), revealed=key.reveal())
    log.error("looped", loop=(loop := {1: Broken()}), again=loop.setdefault(2, loop))
    logging.getLogger("strategy").error("%d is no number", CANARIES[0])


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.filterwarnings("default:deprecated")
def test_a_secret_is_found_nowhere(settings, capsys, form):
    """At DEBUG level, however a secret gets into the log, no line has it, and the lines are there."""
    configured = settings(log=form, log_level="debug")
    text = logged(configured, lambda: say_everything(configured))
    for canary in CANARIES:
        forms = {canary, repr(canary)[1:-1], json.dumps(canary)[1:-1], urllib.parse.quote(canary), canary[:9]}
        assert not [found for found in forms if found in text]
    for words in (
        "in.fields",
        "in.parts",
        "in.address",
        "bound",
        "sent *** with",
        "refused: ***",
        "deprecated: ***",
        "looped",
    ):
        assert words in text
    assert "A log line of strategy was lost: TypeError\n" in text
    assert "${CANARY}" in text
    assert text.count("Traceback") >= 4
    if form == "json":
        assert all(
            isinstance(one, dict) for one in objects(text.replace("A log line of strategy was lost: TypeError\n", ""))
        )
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_does_not_show_what_variables_held(settings, form):
    """A traceback has the lines of code and the error, and not the values, which may be anything."""

    def act():
        held = "what it held"
        try:
            int(held[4:])
        except ValueError:
            structlog.get_logger().exception("crashed")

    text = logged(settings(log=form), act)
    assert "int(held[4:])" in text
    assert "what it held" not in text


def test_a_secret_is_hidden_as_the_environment_has_it_now(monkeypatch):
    """A rotated secret is hidden without a restart; an unset or a very short one hides nothing."""
    hidden = hide([Secret("${ROTATED}")])
    monkeypatch.delenv("ROTATED", raising=False)
    assert hidden("before after abc") == "before after abc"
    for value, text in (("before", "*** after abc"), ("after", "before *** abc"), ("abc", "before after abc")):
        monkeypatch.setenv("ROTATED", value)
        assert hidden("before after abc") == text


def test_everything_is_as_before(settings):
    """Afterwards the host's own logging works as it did, also when the service failed."""
    root, capped = logging.getLogger(), logging.getLogger("websockets")
    marker = logging.NullHandler()
    root.addHandler(marker)
    capped.setLevel(logging.INFO)
    structlog.configure(wrapper_class=structlog.BoundLogger)
    before = (root.level, root.handlers[:], structlog.get_config(), warnings.showwarning)
    try:
        with pytest.raises(ZeroDivisionError), service_logging(settings(log_level="debug"), io.StringIO()):
            1 / (root.level - logging.DEBUG)
        assert (root.level, root.handlers, structlog.get_config(), warnings.showwarning) == before
        assert capped.level == logging.INFO
    finally:
        root.removeHandler(marker)
        capped.setLevel(logging.NOTSET)
        structlog.reset_defaults()
    with service_logging(settings(), io.StringIO()):
        pass
    assert not structlog.is_configured()


def test_nothing_is_configured_on_import():
    """Who imports the module, or the package, keeps the logging that there was."""
    assert "ordersmith.supervisor.logs" in sys.modules
    assert not structlog.is_configured()
