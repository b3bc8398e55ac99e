"""What a journal tells of a session, as columns: for reports, audits and tests. Reads, and judges nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..market.orders import Fill
from .journal import Kind, read_rows

TOLD = (Kind.BAR, Kind.ACCOUNT, Kind.DECISION, Kind.VERDICT, Kind.FILL)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """One row a bar, from the session's first decision on; every array has length T.

    `opened_at` int64 ms UTC; `equity`, `lots`, cumulative `fees`, `funding`, `borrow`, `turnover` and `trades` at the
    bar's close; `action` what the policy said there (NaN where it said nothing); `asked` and `allowed` lots; `state`
    of `market.limits.State`, gates included. `fills` in order of time.
    """

    opened_at: Ints
    close: Floats
    equity: Floats
    lots: Ints
    fees: Floats
    funding: Floats
    borrow: Floats
    turnover: Floats
    trades: Ints
    action: Floats
    asked: Ints
    allowed: Ints
    state: NDArray[np.int8]
    fills: tuple[Fill, ...]

    def __len__(self) -> int:
        return len(self.opened_at)


def read_history(path: str | Path) -> History:
    """Read a journal's committed rows; works beside a running session."""
    rows, fills, now = list[tuple[float, ...]](), list[Fill](), dict[str, float]()
    for row in read_rows(path, *TOLD):
        facts = row.facts
        if row.kind == Kind.BAR:
            now = {"opened_at": facts["opened_at"], "close": facts["close"], "action": np.nan}
        elif row.kind == Kind.FILL:
            fills.append(Fill(**facts))
        elif row.kind == Kind.ACCOUNT:
            now |= {name: facts[name] for name in _OF_ACCOUNT}
        elif row.kind == Kind.DECISION:
            now["action"] = float(facts["action"])  # "nan" and "inf" are journalled by name
        else:
            now |= {"asked": facts["asked"], "allowed": facts["lots"], "state": facts["state"]}
            rows.append(tuple(now[name] for name in _NAMES))
    columns = dict(zip(_NAMES, np.array(rows, np.float64).reshape(-1, len(_NAMES)).T, strict=True))
    exact = {name: columns[name].astype(kind) for name, kind in _KINDS.items()}
    return History(**(columns | exact), fills=tuple(fills))  # type: ignore[arg-type]  # dtypes by name


_OF_ACCOUNT = ("equity", "lots", "fees", "funding", "borrow", "turnover", "trades")
_NAMES = ("opened_at", "close", *_OF_ACCOUNT, "action", "asked", "allowed", "state")
_KINDS = dict.fromkeys(("opened_at", "lots", "trades", "asked", "allowed"), np.int64) | {"state": np.int8}
