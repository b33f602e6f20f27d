"""Profit and approval rates of a lender, with truthful and with strategically edited applications."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..attacks._model import frozen
from ..attacks.pgd import ascend
from ..errors import RobustlibError
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, mean, share
from ..spec.network import Network
from ..threat import Ball
from ..training.trades import score


@spec
@dataclass(frozen=True)
class Lending(Measurement):
    """Money and approvals of a lender who approves where the network's p(repays) makes the expected gain positive.

    Args:
        threat: edits that applicants may make; all of them edit towards approval.
        steps, step_size: of that ascent.
        gain, loss: of a loan that is repaid, and of one that is not, in units of its interest.
    """

    threat: Ball
    steps: int
    step_size: float
    gain: float = 1.0
    loss: float = 3.0
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        units = {}
        for state in ("honest", "edited"):
            units[f"money_{state}"] = "interests per applicant"
            units |= {f"{of}_{state}_{group}": "fraction" for of in ("approved", "served") for group in (0, 1)}
            units[f"right_{state}"] = "fraction"
        return units

    def run(self, on: Subject) -> Measured:
        """Money for each applicant and shares approved, by group, honest and edited.

        Every applicant edits towards approval within the threat, repaying or not: an edit changes the lender's view,
        never who repays. Class 1 is repayment; a loan is given where gain p > loss (1 - p).

        Raises:
            RobustlibError: a dataset that does not say who belongs to which group.
        """
        model, split, rows, groups = on.model, on.split, on.rows, on.groups
        if groups is None:
            raise RobustlibError("Lending on a dataset without groups; use 'lender'")
        x, y, member = split.images(rows), split.y[rows], groups[rows]
        with frozen(model):
            edited = ascend(
                model,
                x,
                y,
                self.threat,
                start=x,
                steps=self.steps,
                step_size=self.step_size,
                loss=lambda logits, _: score(logits),
            )
        found = Measured()
        bar = math.log(self.loss / self.gain)
        for state, points in (("honest", x), ("edited", edited)):
            with torch.no_grad():
                approved = score(model(points)) > bar
            money = approved * torch.where(y == 1, self.gain, -self.loss)
            found.metrics[f"money_{state}"] = mean(money.double().numpy(), unit="interests per applicant")
            for group in (0, 1):
                of_group = member == group
                found.metrics[f"approved_{state}_{group}"] = share(approved[of_group].numpy())
                # Who would have repaid and is refused bears the lender's caution.
                found.metrics[f"served_{state}_{group}"] = share(approved[of_group & (y == 1)].numpy())
            found.metrics[f"right_{state}"] = share((approved == (y == 1)).numpy())
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.step(network) * n * (2 * self.steps + 2)
