"""What an answer to an order proves: only Alpaca's own refusal is a rejection."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.errors import BrokerAuthError, BrokerProtocolError, BrokerUnavailable
from ordersmith.adapters.alpaca.answers import (
    DETAIL_LENGTH,
    DETAILS,
    TEXT_LENGTH,
    Answer,
    Unanswered,
    Unsent,
    Verdict,
    read_of,
    verdict_on_cancel,
    verdict_on_order,
)

ORDER = b'{"id":"b1","client_order_id":"a.0","status":"pending_new","symbol":"A"}'
HTML = b"<html><body>504 Gateway Time-out</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, ORDER, Verdict.TAKEN),
        (200, ORDER.replace(b"pending_new", b"a_new_word"), Verdict.TAKEN),
        (200, b"", Verdict.UNKNOWN),
        (200, HTML, Verdict.UNKNOWN),
        (200, ORDER.replace(b"a.0", b"b.0"), Verdict.UNKNOWN),
        (403, b'{"code":40310000,"message":"insufficient buying power"}', Verdict.REFUSED),
        (403, b'{"message":"forbidden."}', Verdict.REFUSED),
        (401, b'{"message":"unauthorized"}', Verdict.REFUSED),
        (422, b'{"code":42210000,"message":"invalid limit_price"}', Verdict.REFUSED),
        (422, b'{"code":40010001,"message":"qty is required"}', Verdict.REFUSED),
        (422, b'{"code":40010001,"message":"client_order_id must be unique"}', Verdict.UNKNOWN),
        (400, b'{"code":40010000,"message":"request body format is invalid"}', Verdict.REFUSED),
        (404, b'{"code":40410000,"message":"asset not found"}', Verdict.REFUSED),
        (403, HTML, Verdict.UNKNOWN),
        (404, HTML, Verdict.UNKNOWN),
        (429, b'{"message":"too many requests."}', Verdict.LIMITED),
        (429, HTML, Verdict.LIMITED),
        (500, b'{"code":50010000,"message":"internal server error"}', Verdict.UNKNOWN),
        (504, HTML, Verdict.UNKNOWN),
        (408, b'{"message":"request timeout"}', Verdict.UNKNOWN),
        (302, b"", Verdict.UNKNOWN),
    ],
)
def test_an_answer_to_an_order(status: int, body: bytes, verdict: Verdict) -> None:
    """Each kind of answer is judged as the table says, a taken client id as an outcome that is not known."""
    assert verdict_on_order(Answer(status, body), "a.0") is verdict


@given(status=st.integers(100, 599), body=st.binary(max_size=40))
def test_only_alpaca_refuses(status: int, body: bytes) -> None:
    """Whatever comes, an order is refused only by a status of refusal, and a server's error is never one."""
    verdict = verdict_on_order(Answer(status, body), "a.0")
    assert verdict is not Verdict.TAKEN
    if status >= 500 or status < 400:
        assert verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (204, Verdict.TAKEN),
        (422, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (429, Verdict.LIMITED),
        (504, Verdict.UNKNOWN),
        (302, Verdict.UNKNOWN),
    ],
)
def test_an_answer_to_a_cancel(status: int, verdict: Verdict) -> None:
    """A cancel is taken, refused, limited, or nobody knows."""
    assert verdict_on_cancel(Answer(status)) is verdict


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Unsent("refused"), BrokerUnavailable),
        (Unanswered("time-out"), BrokerUnavailable),
        (Answer(401, b'{"message":"unauthorized"}'), BrokerAuthError),
        (Answer(403, b'{"message":"forbidden."}'), BrokerAuthError),
        (Answer(422, b"{}"), BrokerProtocolError),
        (Answer(429), BrokerUnavailable),
        (Answer(503, HTML), BrokerUnavailable),
    ],
)
def test_a_question_without_an_answer_is_an_error(outcome: object, error: type[Exception]) -> None:
    """A read that failed is an error, never something empty."""
    with pytest.raises(error, match="positions"):
        read_of(outcome, "positions")  # type: ignore[arg-type]


def test_a_code_is_read_from_json_alone() -> None:
    """A page of a proxy, a list and a text in place of a code are no refusal of Alpaca's."""
    for body in (HTML, b"[1]", b'{"code":"x"}', b'"text"', b"\xff\xfe"):
        assert Answer(403, body).code is None
    assert Answer(502, HTML).text.startswith("502 <html>")


WASH = b'{"code":40310000,"message":"potential wash trade detected. use complex orders","existing_order_id":"b-9",'
WASH += b'"reject_reason":"opposite side limit order exists","api_key":"PK1","secret":"s3cret"}'


def test_a_refusal_says_which_order_is_in_the_way_and_no_secret() -> None:
    """What Alpaca adds to its message is told with it; a field that nobody knows is not, whatever it holds."""
    said = "potential wash trade detected. use complex orders (reject_reason opposite side limit order exists, existing_order_id b-9)"
    assert Answer(403, WASH).refusal == said
    assert Answer(403, WASH).text == f"403 {said}"
    assert Answer(403, b'{"message":"forbidden."}').refusal == "forbidden."
    shares = (
        b'{"code":40310000,"message":"insufficient qty","available":"0","existing_qty":"10","held_for_orders":"10"}'
    )
    assert Answer(403, shares).refusal == "insufficient qty (existing_qty 10, held_for_orders 10, available 0)"


@given(
    st.dictionaries(st.sampled_from([*DETAILS, "message", "other"]), st.text(max_size=400) | st.integers() | st.none())
)
def test_a_refusal_is_of_a_bounded_length(body: dict[str, object]) -> None:
    """Whatever an answer adds, its words fit in a line of the log."""
    said = Answer(403, json.dumps(body).encode()).refusal
    assert len(said) <= TEXT_LENGTH + len(DETAILS) * (DETAIL_LENGTH + 30)
