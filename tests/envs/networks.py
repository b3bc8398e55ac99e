"""Networks with random weights for tests that need a policy which trades, not one that earns: one of each class.

Plain torch, and none of the trainers' own code: whatever has `shape` and `state_size` can be exported.
"""

import torch
from torch import nn

SPREAD = 0.01  # of the columns, roughly: without it a tanh of returns is flat

Answer = tuple[torch.Tensor, ...]


class Restless(nn.Module):
    """Weights large enough that it trades on nearly every bar; `levels` 0 for target exposures, else so many actions.

    A window of bars goes through a convolution along time. With `units` it keeps the state of an LSTM.
    """

    def __init__(self, shape: tuple[int, ...], levels: int = 0, units: int = 0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.shape, self.state_size, self.levels = shape, 2 * units, levels
        self.along = nn.Conv1d(shape[-1], 8, 3) if len(shape) == 2 else None
        width = 8 * (shape[0] - 2) if len(shape) == 2 else shape[-1]
        self.cell = nn.LSTMCell(width, units) if units else None
        self.body = nn.Linear(units or width, 16)
        self.head, self.worth = nn.Linear(16, levels or 1), nn.Linear(16, 1)
        nn.init.normal_(self.head.weight, std=0.5)
        nn.init.zeros_(self.head.bias)
        if self.cell is not None:
            nn.init.normal_(self.cell.weight_hh, std=0.5)  # so that what it remembers counts
        self.requires_grad_(False)

    def forward(
        self, obs: torch.Tensor, state: torch.Tensor | None = None, starts: torch.Tensor | None = None
    ) -> Answer:
        seen = (obs / SPREAD).clamp(-10.0, 10.0)
        if self.along is not None:
            seen = self.along(seen.transpose(1, 2)).tanh().flatten(1)
        if self.cell is None or state is None or starts is None:
            return self._answer(seen)
        kept = torch.where(starts[:, None], torch.zeros_like(state), state)
        h, c = self.cell(seen, tuple(kept.chunk(2, dim=1)))
        return (*self._answer(h), torch.cat([h, c], dim=1))

    def _answer(self, features: torch.Tensor) -> Answer:
        body = self.body(features).tanh()
        logits, value = self.head(body), self.worth(body)[:, 0]
        if not self.levels:
            return logits.clamp(-1.0, 1.0), logits[:, 0].sigmoid(), value
        best = logits.softmax(dim=-1).topk(2, dim=-1).values
        return logits.argmax(dim=-1, keepdim=True).float(), best[:, 0] - best[:, 1], value


def restless_network(width: int) -> Restless:
    """One row of columns, a target exposure."""
    return Restless((width,))


def discrete_network(width: int, levels: int = 3) -> Restless:
    """One row of columns, one of so many levels."""
    return Restless((width,), levels)


def windowed_network(bars: int, width: int) -> Restless:
    """A window of bars, read by a convolution along time."""
    return Restless((bars, width))


def recurrent_network(width: int, units: int = 16) -> Restless:
    """One row of columns at a time, and an LSTM that remembers."""
    return Restless((width,), units=units)
