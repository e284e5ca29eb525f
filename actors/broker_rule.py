"""What a broker refuses, as data: part of its `ports.Capabilities`. `machines/broker_rules.py` checks it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from .model import ZERO


class RuleKind(StrEnum):
    """What a broker's rule is about; `machines/broker_rules.py` has a function for each."""

    TERMS = "TERMS"
    ID_LENGTH = "ID_LENGTH"
    SUB_PENNY = "SUB_PENNY"
    MINIMUM_NOTIONAL = "MINIMUM_NOTIONAL"
    FRACTION_SHORT = "FRACTION_SHORT"
    HELD_QUANTITY = "HELD_QUANTITY"
    WASH_TRADE = "WASH_TRADE"
    OPPOSITE_SIDE = "OPPOSITE_SIDE"


class BrokerRule(msgspec.Struct, frozen=True, array_like=True):
    """One thing that a broker refuses: the code and the sentence that it does it with, and where that is written.

    TERMS: an order that is one of `about` must be one of `takes`, in the words of `machines.broker_rules.words_of`. `limit` is the
    number of ID_LENGTH and MINIMUM_NOTIONAL.
    """

    kind: RuleKind
    code: str
    text: str
    source: str
    about: dict[str, tuple[str, ...]] = {}
    takes: dict[str, tuple[str, ...]] = {}
    limit: Decimal = ZERO
