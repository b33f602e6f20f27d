"""Certified shares of classes and of persons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..certify import certify
from ..registry import spec
from ..spec.measurement import Measured, Measurement, Price, Subject, share
from ..spec.network import Network
from ..spec.records import pack
from ..threat import Ball
from .certificates import CHUNK


@spec
@dataclass(frozen=True)
class Groups(Measurement):
    """Right and certified shares of each class, and of each person where the dataset knows who is meant."""

    threat: Ball
    protocol: int = 1

    def units(self, network: Network) -> dict[str, str]:
        edges = (f"{edge}_{kind}" for edge in ("worst", "best") for kind in ("class", "person"))
        return dict.fromkeys(("bound", "accuracy", *edges), "fraction")

    def run(self, on: Subject) -> Measured:
        """``worst_`` and ``best_``: the least and greatest certified share of a class, and of a person."""
        split, rows, people = on.split, on.rows, on.groups
        sure, right = [], []
        for x, y in on.parts(CHUNK):
            sure.append(certify(on.model, x, y, self.threat).certified)
            with torch.no_grad():
                right.append(on.model(x).argmax(1) == y)
        certified, correct = (torch.cat(found).cpu().numpy() for found in (sure, right))
        found = Measured(
            metrics={"bound": share(~certified), "accuracy": share(correct)},
            outcomes={"certified": pack(certified), "correct": pack(correct)},
        )
        members = {"class": split.y[rows.to(split.y.device)]}
        if people is not None:
            members["person"] = people[rows.to(people.device)]
        for name, of in members.items():
            who, place = np.unique(of.cpu().numpy(), return_inverse=True)
            counts = [np.bincount(place, weights=values) for values in (certified >= 0, correct, certified)]
            found.series[name] = [[int(label), *map(int, line)] for label, *line in zip(who, *counts, strict=True)]
            for edge, at in (("worst", np.argmin(counts[2] / counts[0])), ("best", np.argmax(counts[2] / counts[0]))):
                found.metrics[f"{edge}_{name}"] = share(certified[place == at])
        return found

    def work(self, price: Price, network: Network, n: int) -> float:
        return price.certificate(network) * n
