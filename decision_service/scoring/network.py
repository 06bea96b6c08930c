"""The declared LSTM architecture; its weights come as safetensors, never as pickled code.

PyTorch is imported where a network is built: whoever runs graphs needs none, and it takes seconds and 200 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from decision_service.errors import ModelError
from decision_service.scoring.rows import Floats
from decision_service.scoring.spec import LstmSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

DROPOUT = 0.2


def series_network(*, channels: int, hidden: int, dropout: float = DROPOUT) -> nn.Module:
    """One LSTM layer over the months, read out at the last month and as the mean over the reported ones.

    Input n x T x ``channels`` whose last channel is the mask; output n log-odds, not yet calibrated.
    """
    import torch
    from torch import nn

    class SeriesNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(channels, hidden, batch_first=True)
            self.dropout = nn.Dropout(dropout)
            self.readout = nn.Linear(2 * hidden, 1)

        def forward(self, window: Tensor) -> Tensor:
            states, _ = self.lstm(window)
            mask = window[:, :, -1:]
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)
            summary = torch.cat([states[:, -1], mean], dim=1)
            return self.readout(self.dropout(summary)).squeeze(1)

    return SeriesNetwork()


def network_margins(weights: bytes, spec: LstmSpec) -> Callable[[Floats], Floats]:
    """A network with its weights as a function from windows to margins; raises ``ModelError`` if they do not fit."""
    import torch
    from safetensors.torch import load

    network = series_network(channels=spec.channels, hidden=spec.hidden)
    try:
        network.load_state_dict(load(weights), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"the weights do not fit the declared architecture ({str(error)[:200]})") from error
    network.eval()

    def margins(windows: Floats) -> Floats:
        with torch.inference_mode():
            return network(torch.from_numpy(windows)).numpy()

    return margins


def use_one_thread() -> None:
    """For a process that scores one row at a time: more threads only cost."""
    import torch

    torch.set_num_threads(1)
