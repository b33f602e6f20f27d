"""What a lender earns and whom he serves, with applicants who state the truth and with those who edit."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..attacks._model import frozen
from ..attacks.pgd import ascend
from ..data import Split
from ..errors import RobustlibError
from ..training.trades import score
from .findings import Findings, mean, share
from .probes import Lending


def lending(model: nn.Module, split: Split, rows: Tensor, groups: Tensor | None, what: Lending) -> Findings:
    """Money for each applicant and shares approved, by group, honest and edited.

    Every applicant edits towards approval within the threat, whether he would repay or not: an edit changes what the
    lender sees, never who repays. Class 1 is repayment; a loan is given where gain p > loss (1 - p).

    Raises:
        RobustlibError: a dataset that does not say who belongs to which group.
    """
    if groups is None:
        raise RobustlibError("Lending on a dataset without groups; use 'lender'")
    x, y, member = split.images(rows), split.y[rows], groups[rows]
    with frozen(model):
        edited = ascend(
            model,
            x,
            y,
            what.threat,
            start=x,
            steps=what.steps,
            step_size=what.step_size,
            loss=lambda logits, _: score(logits),
        )
    found = Findings()
    bar = math.log(what.loss / what.gain)
    for state, points in (("honest", x), ("edited", edited)):
        with torch.no_grad():
            approved = score(model(points)) > bar
        money = approved * torch.where(y == 1, what.gain, -what.loss)
        found.metrics[f"money_{state}"] = mean(money.double().numpy(), unit="interests per applicant")
        for group in (0, 1):
            of_group = member == group
            found.metrics[f"approved_{state}_{group}"] = share(approved[of_group].numpy())
            # Who would have repaid and is refused bears the lender's caution.
            found.metrics[f"served_{state}_{group}"] = share(approved[of_group & (y == 1)].numpy())
        found.metrics[f"right_{state}"] = share((approved == (y == 1)).numpy())
    return found
