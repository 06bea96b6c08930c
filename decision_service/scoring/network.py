"""The declared LSTM architecture; its weights come as safetensors, never as pickled code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DROPOUT = 0.2


class SeriesNetwork(nn.Module):
    """One LSTM layer over the months, read out at the last month and as the mean over the reported ones.

    Input n x T x ``channels`` whose last channel is the mask; output n log-odds, not yet calibrated.
    """

    def __init__(self, *, channels: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.readout = nn.Linear(2 * hidden, 1)

    def forward(self, window: Tensor) -> Tensor:
        states, _ = self.lstm(window)
        mask = window[:, :, -1:]
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)
        summary = torch.cat([states[:, -1], mean], dim=1)
        return self.readout(self.dropout(summary)).squeeze(1)
