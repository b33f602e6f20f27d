"""Outside proof: other people's networks, and what the verification competition VNN-COMP 2021 found out about them.

Each property is a box of inputs and the class that must win in all of it; its answer ("holds", "violated" or
"unknown") is that of the tools that decided it. Skipped unless ROBUSTLIB_VNNCOMP, or the folder shared/vnncomp beside
the repository, has the networks and properties: they are the competition's, not ours to distribute.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustlib.attacks import apgd
from robustlib.certify import Certificate, certify
from robustlib.certify.trace import trace
from robustlib.threat import FeatureBox, LinfBall

FOLDER = Path(os.environ.get("ROBUSTLIB_VNNCOMP", Path(__file__).resolve().parents[3] / "shared" / "vnncomp"))
SLOPES = ("fixed", "adaptive")
UNIT = LinfBall(0.5, None)
"""Around 0.5 it is [0, 1] in every coordinate, which an affine layer in front of the network maps to a box."""
ROUNDING = 2e-5
"""Share of the largest logit by which two float32 evaluations, which add in another order, may differ."""


@dataclass(frozen=True)
class Floor:
    """Least numbers of properties certified with each kind of slopes, and of violated ones broken."""

    fixed: int
    adaptive: int
    broken: int


FLOORS = {
    "mnist-net_256x2": Floor(fixed=7, adaptive=10, broken=11),
    "mnist-net_256x4": Floor(fixed=5, adaptive=7, broken=6),
    "cifar_base_kw": Floor(fixed=0, adaptive=0, broken=1),
    "resnet_2b": Floor(fixed=16, adaptive=27, broken=0),
}
"""What the library certified and broke when these networks were first tried, at commit d67eb8e."""

MISSING = [f"{name}.{kind}" for name in FLOORS for kind in ("onnx", "npz") if not (FOLDER / f"{name}.{kind}").exists()]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"needs {len(MISSING)} files of VNN-COMP 2021, {MISSING[:1]}: set ROBUSTLIB_VNNCOMP to their folder",
    ),
]


@dataclass(frozen=True)
class Subject:
    """A network with its properties.

    Attributes:
        floor: what must be reached on it.
        net: the network, converted: (N, *shape) to (N, 10).
        evaluator: onnx's own, of the file as it was published; it shares no code with ``net``.
        lower, upper: (P, *shape) edges of the boxes.
        labels: (P,) the classes that must win.
        answers: (P,) of the competition.
    """

    floor: Floor
    net: nn.Module
    evaluator: Any
    lower: Tensor
    upper: Tensor
    labels: Tensor
    answers: np.ndarray

    def logits(self, points: Tensor) -> Tensor:
        """(P, 10) of the published file at (P, *shape) points, one at a time: its batch is fixed at 1."""
        (entry,) = self.evaluator.input_names
        return torch.cat([torch.from_numpy(self.evaluator.run(None, {entry: x[None].numpy()})[0]) for x in points])

    def inside(self, units: Tensor) -> Tensor:
        """(P, *shape) points of the boxes for coordinates in [0, 1]; rounding takes none of them out."""
        return (self.lower + units * (self.upper - self.lower)).clamp(self.lower, self.upper)

    def random_points(self, seed: int) -> Tensor:
        """(P, *shape) coordinates in [0, 1], uniform."""
        return torch.rand(self.lower.shape, generator=torch.Generator().manual_seed(seed))

    def composed(self, row: int) -> nn.Module:
        """One property's box as an affine layer, then the network: (N, *shape) coordinates in [0, 1] to (N, 10)."""
        return _Box(self.net, self.lower[row : row + 1], self.upper[row : row + 1]).eval()


class _Box(nn.Module):
    def __init__(self, net: nn.Module, lower: Tensor, upper: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("lower", lower)
        self.register_buffer("width", upper - lower)

    def forward(self, units: Tensor) -> Tensor:
        return self.net(self.lower + units * self.width)


class _Boxes(nn.Module):
    """The same for a batch of properties: each row is its flat coordinates, then its box's lower edges and widths.

    An attack drops the rows that it has broken, so that each must carry its own box.
    """

    def __init__(self, net: nn.Module, shape: torch.Size) -> None:
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, rows: Tensor) -> Tensor:
        units, lower, width = rows.chunk(3, dim=1)
        return self.net((lower + units * width).view(-1, *self.shape))


@pytest.fixture(scope="module", params=FLOORS)
def subject(request: pytest.FixtureRequest) -> Subject:
    # Here, not above: who collects these tests and skips them waits for neither.
    import onnx
    import onnx2torch
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(FOLDER / f"{request.param}.onnx")
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    with np.load(FOLDER / f"{request.param}.npz", allow_pickle=False) as file:
        lower, upper = (torch.from_numpy(file[edge]).view(-1, *shape) for edge in ("lower", "upper"))
        labels, answers = torch.from_numpy(file["label"]), file["answer"]
    assert set(answers.tolist()) <= {"holds", "violated", "unknown"}
    net = onnx2torch.convert(model).eval()
    return Subject(FLOORS[request.param], net, ReferenceEvaluator(model), lower, upper, labels, answers)


@pytest.fixture(scope="module")
def certificates(subject: Subject) -> dict[str, Certificate]:
    """Of all properties, for each kind of slopes: (P, 10) margins and slack."""
    return {slopes: _certificate(subject, slopes) for slopes in SLOPES}


def _certificate(subject: Subject, slopes: str) -> Certificate:
    center = torch.full_like(subject.lower[:1], 0.5)
    # One by one: each box is a layer of its own, and one example of the residual network takes little memory.
    found = [
        certify(subject.composed(row), center, subject.labels[row : row + 1], UNIT, slopes=slopes)
        for row in range(len(subject.labels))
    ]
    margins, slack = (torch.cat([getattr(part, name) for part in found]) for name in ("margins", "slack"))
    return Certificate(subject.labels, margins, slack, ())


@pytest.fixture(scope="module")
def attacked(subject: Subject) -> Tensor:
    """(P, *shape) points of the boxes: APGD with 100 steps and 5 starts, on the cross-entropy, then targeted DLR."""
    lower, width = subject.lower.flatten(1), (subject.upper - subject.lower).flatten(1)
    count, size = lower.shape
    model = _Boxes(subject.net, subject.lower.shape[1:]).eval()
    rows = torch.cat([torch.full_like(lower, 0.5), lower, width], dim=1)
    # Coordinates may move by 0.5; the box that they lie in may not.
    threat = FeatureBox(0.5, None, budgets=(1.0,) * size + (0.0,) * (2 * size))
    generator = torch.Generator().manual_seed(0)
    found = rows.clone()
    for targets in (0, 9):
        with torch.no_grad():
            remaining = _worst(subject, model(found)) > 0
        found[remaining] = apgd(
            model,
            rows[remaining],
            subject.labels[remaining],
            threat,
            steps=100,
            restarts=5,
            target_classes=targets,
            generator=generator,
        )
    return subject.inside(found[:, :size].view(count, *subject.lower.shape[1:]))


@pytest.fixture(scope="module")
def published(subject: Subject, attacked: Tensor) -> list[Tensor]:
    """(P, 10) of the published file in every box: at the attacked points, anywhere, and at a corner."""
    anywhere, corners = subject.random_points(3), subject.random_points(4).round()
    return [subject.logits(points) for points in (attacked, subject.inside(anywhere), subject.inside(corners))]


def _margins(subject: Subject, logits: Tensor) -> Tensor:
    """(P, 10) logit[label] - logit[k]."""
    return logits.gather(1, subject.labels[:, None]) - logits


def _worst(subject: Subject, logits: Tensor) -> Tensor:
    """(P,) the label's lead over the best other class; a property is broken where it is negative."""
    return _margins(subject, logits).scatter(1, subject.labels[:, None], float("inf")).amin(1)


def _answered(subject: Subject, answer: str, among: Tensor) -> list[int]:
    """Rows of a (P,) mask to whose properties the competition gave this answer."""
    return [row for row in among.nonzero().flatten().tolist() if subject.answers[row] == answer]


def test_what_is_bounded_is_the_published_network(subject: Subject) -> None:
    """At the corners of each box and inside it, the traced graph gives what onnx itself makes of the file."""
    whole = torch.ones_like(subject.lower)
    places = (0 * whole, whole, 0.5 * whole, subject.random_points(1), subject.random_points(2).round())
    published = torch.stack([subject.logits(subject.inside(units)) for units in places], 1)
    for row, (points, expected) in enumerate(zip(torch.stack(places, 1), published, strict=True)):
        model = subject.composed(row)
        with torch.no_grad():
            given, bounded = model(points), trace(model, torch.full_like(points[:1], 0.5))(points)
        for name, logits in (("converted", given), ("traced", bounded)):
            off = (logits - expected).abs().amax(1)
            near = off <= ROUNDING * expected.abs().amax(1)
            assert near.all(), f"{name} network, property {row}: off by {float(off.max()):g}"


@pytest.mark.parametrize("slopes", SLOPES)
def test_nothing_certified_is_violated_and_no_fewer_are_certified(
    subject: Subject, certificates: dict[str, Certificate], slopes: str
) -> None:
    certified = certificates[slopes].certified
    assert _answered(subject, "violated", certified) == []
    assert int(certified.sum()) >= getattr(subject.floor, slopes)


@pytest.mark.parametrize("slopes", SLOPES)
def test_no_bound_exceeds_a_margin_inside_its_box(
    subject: Subject, certificates: dict[str, Certificate], published: list[Tensor], slopes: str
) -> None:
    """Says something of the properties that are not certified too, which on the hardest network are all."""
    found = certificates[slopes]
    for logits in published:
        excess = found.margins - found.slack - _margins(subject, logits)
        rounding = ROUNDING * logits.abs().amax(1, keepdim=True)
        assert (excess <= rounding).all(), f"by {float(excess.max()):g}"


def test_nothing_broken_holds_or_is_certified_and_no_fewer_are_broken(
    subject: Subject, certificates: dict[str, Certificate], attacked: Tensor, published: list[Tensor]
) -> None:
    """All properties are attacked, the certified ones too; the published file judges, at points of the box."""
    assert ((subject.lower <= attacked) & (attacked <= subject.upper)).all()
    broken = _worst(subject, published[0]) < 0
    assert _answered(subject, "holds", broken) == []
    for slopes, found in certificates.items():
        assert not (broken & found.certified).any(), f"{slopes} slopes certify what is broken"
    assert len(_answered(subject, "violated", broken)) >= subject.floor.broken
