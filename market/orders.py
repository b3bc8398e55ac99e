"""Instruments, orders and fills, and the one function that turns a quantity into whole lots.

Orders carry integers (lots, ticks): nothing downstream rounds again. Knows nothing of accounts or venues.
"""

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from .jit import inlined_kernel

LOT_SLACK = 1e-12  # relative: a quotient this close to a whole number of lots is that number


class Kind(IntEnum):
    """How an order wants to trade."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    TRAILING = 3


class Reason(IntEnum):
    """Why a fill happened."""

    ORDER = 0
    LIMIT = 1
    STOP = 2
    LIQUIDATION = 3
    GAP = 4


class Order(NamedTuple):
    """An order as the desk words it: signed `lots`; `ticks` the limit or stop price, of a trailing stop its distance
    (0 for a market order)."""

    lots: int
    kind: int = Kind.MARKET
    ticks: int = 0
    reduce_only: bool = False
    client_id: str = ""


class Fill(NamedTuple):
    """Signed `lots` that changed hands at `price`; `at` is the UTC millisecond at which it became known."""

    at: int
    lots: int
    price: float
    fee: float
    reason: int = Reason.ORDER
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded, and the venue's rules for it. `maintenance` and `liquidation_fee` are shares of notional."""

    symbol: str = "ASSET"
    venue: str = "paper"
    tick: float = 0.01
    lot: float = 0.001
    min_notional: float = 5.0
    max_leverage: float = 1.0
    maintenance: float = 0.005
    liquidation_fee: float = 0.005

    def __post_init__(self) -> None:
        for name in ("tick", "lot", "max_leverage"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{self.symbol}: {name} {value} must be above 0")
        for name in ("min_notional", "maintenance", "liquidation_fee"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{self.symbol}: {name} {value} must be 0 or more")
        if self.maintenance * self.max_leverage >= 1:
            raise ValueError(
                f"{self.symbol}: leverage {self.max_leverage} with maintenance {self.maintenance} is liquidated at once"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Instrument":
        unknown = set(data) - set(cls.__slots__)
        if unknown:
            raise ValueError(f"an instrument has no {', '.join(sorted(unknown))}; it has {', '.join(cls.__slots__)}")
        return cls(**data)


@inlined_kernel
def to_lots(quantity: float, lot: float) -> int:
    """Whole lots in `quantity`, toward zero; an exact multiple keeps its last lot.

    A plain `floor(quantity / lot)` loses one lot in 4 % of exact multiples (0.3 / 0.1 is 2.9999…).

    >>> to_lots(0.3, 0.1), to_lots(-0.35, 0.1)
    (3, -3)
    """
    quotient = abs(quantity / lot) if lot > 0.0 else 0.0
    if not quotient < 9.0e15:  # NaN, infinite, or beyond whole floats: no lots rather than a wrong count
        return 0
    nearest = math.floor(quotient + 0.5)
    slack = LOT_SLACK * quotient if quotient > 1.0 else LOT_SLACK
    lots = nearest - 1.0 if nearest - quotient > slack else nearest  # what lies just below a multiple is that multiple
    return int(lots) if quantity > 0.0 else -int(lots)
