"""The table of public states, written out a second time by what the words mean."""

from __future__ import annotations

from itertools import product

import pytest

from ordersmith.actors.machines.order_table import MEANING, PUBLIC_STATE, RANK, Extent, Proof, render
from ordersmith.actors.model import OrderState

ENDED = {Proof.DENIED, Proof.NOT_FOUND, Proof.REJECTED, Proof.NOT_SENT, Proof.EXPIRED, Proof.CANCELLED}
REFUSED = {Proof.DENIED, Proof.NOT_FOUND, Proof.REJECTED}
SENT = {Proof.INTENDED, Proof.WORKING}


def expected(proof: Proof, extent: Extent) -> OrderState:
    if extent is Extent.ALL:
        return OrderState.FILLED
    if proof in ENDED:
        return OrderState.REJECTED if proof in REFUSED and extent is Extent.NONE else OrderState.CANCELLED
    if extent is Extent.PART:
        return OrderState.PARTIALLY_FILLED
    return OrderState.SUBMITTED if proof in SENT else OrderState.PENDING


@pytest.mark.parametrize(("proof", "extent"), list(product(Proof, Extent)))
def test_every_pair_has_its_public_state(proof: Proof, extent: Extent) -> None:
    """What is filled wins over how an order ended, and only an order without fills is rejected."""
    assert PUBLIC_STATE[proof, extent] is expected(proof, extent)


def test_the_table_has_a_row_for_everything_and_no_other() -> None:
    """Every proof meets every extent once, and each proof is explained."""
    assert set(PUBLIC_STATE) == set(product(Proof, Extent))
    assert set(MEANING) == set(Proof)


def test_what_ends_an_order_outranks_what_does_not() -> None:
    """A fact that ends an order at the broker is stronger than one that it works, and than that we gave it up, whichever comes first."""
    assert [proof for proof in Proof if RANK[proof] > RANK[Proof.WORKING]] == [
        Proof.NOT_FOUND,
        Proof.REJECTED,
        Proof.NOT_SENT,
        Proof.EXPIRED,
        Proof.CANCELLED,
    ]


def test_render_shows_every_row() -> None:
    """The Markdown has a line for each proof with its three states in the order of the head line."""
    head, rule, *rows = render().splitlines()
    assert head.split("|")[3:6] == [" nothing filled ", " partly filled ", " all filled "]
    assert rule.count("---") == 5
    assert len(rows) == len(Proof)
    for proof, row in zip(Proof, rows, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells == [proof, MEANING[proof], *(expected(proof, extent) for extent in Extent)]
