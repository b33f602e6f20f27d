"""Certificates beside convex-adversarial's, the library of the paper's authors, as ratios to it.

    make bench          (or, with it installed: python -m benchmarks.certify --json)

Both compute the same bound, Wong & Kolter's with the slope u / (u - l), and agree to rounding; that is checked on
every round before a ratio is formed. Times are processor times on one thread, peers interleaved round by round;
``ratio`` is the median of the ratios within a round, ``peak_ratio`` that of the memory above the one in use before,
each in a separate process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustlib.certify import certify, estimated_margins, margins
from robustlib.data import balanced_subset, load
from robustlib.errors import RobustlibError
from robustlib.experiments.runner import exact_arithmetic, tune_allocator
from robustlib.models import ModelSpec, build
from robustlib.threat import LinfBall

from .peers import _library
from .report import machine, merged
from .rounds import interleave

EPS = 0.01
"""At initial weights about as many units cross zero as on a trained network at its own radius: a few per cent."""
BALL = LinfBall(EPS, None)
PEER = "convex-adversarial"
LIBRARIES = (PEER, "robustlib")
WIDE = {1_304: (4, 8, 128), 10_432: (32, 64, 1024), 40_424: (124, 248, 3968)}
"""Wong et al. 2018's wide family, k = 1, 8 and 31, by hidden units."""
PROJECTIONS = 50
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "vnncomp"
COMPETITION_FILE = Path(os.environ.get("ROBUSTLIB_VNNCOMP", _SHARED)) / "resnet_2b.onnx"
Batch = tuple[Tensor, Tensor]
Row = dict[str, Any]


def network(first: int = 16, second: int = 32, hidden: int = 100) -> nn.Sequential:
    """Two strided convolutions and two dense layers; the paper's small MNIST network unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, first, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(49 * second, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 10),
        ).eval()


def bounds(library: str, model: nn.Sequential) -> Callable[[Batch], Tensor]:
    """A call that gives the (N, K) lower bounds of a batch."""
    if library == "robustlib":
        return lambda batch: certify(model, *batch, BALL).margins
    peer = _library("convex_adversarial")

    def theirs(batch: Batch) -> Tensor:
        x, y = batch
        with torch.no_grad():
            return -peer.RobustBounds(model, EPS)(x, y)

    return theirs


def projected(library: str, model: nn.Sequential) -> Callable[[Batch], Tensor]:
    """A step of robust training with hidden bounds estimated from 50 random columns."""
    return step(library, model, projections=PROJECTIONS)


def estimates(library: str, model: nn.Sequential) -> Callable[[Batch], Tensor]:
    """A call that gives the (1,) robust loss of a batch with hidden bounds estimated from 50 random columns."""
    generator = torch.Generator().manual_seed(0)
    peer = _library("convex_adversarial") if library == PEER else None

    def work(batch: Batch) -> Tensor:
        x, y = batch
        with torch.no_grad():
            if peer is not None:
                lower = -peer.RobustBounds(model, EPS, proj=PROJECTIONS, norm_type="l1_median")(x, y)
            else:
                lower = estimated_margins(
                    model, x, y, BALL, projections=PROJECTIONS, estimator="pooled", generator=generator
                )
            return nn.functional.cross_entropy(-lower, y)[None]

    return work


def step(library: str, model: nn.Sequential, projections: int = 0) -> Callable[[Batch], Tensor]:
    """A call that takes one step of robust training, and gives the (1,) loss before it."""
    generator = torch.Generator().manual_seed(0)
    theirs = {"proj": projections, "norm_type": "l1_median"} if projections else {}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    peer = _library("convex_adversarial") if library == PEER else None

    def work(batch: Batch) -> Tensor:
        x, y = batch
        if peer is not None:
            lower = -peer.RobustBounds(model, EPS, **theirs)(x, y)
        elif projections:
            lower = estimated_margins(
                model, x, y, BALL, projections=projections, estimator="pooled", generator=generator
            )
        else:
            lower = margins(model, x, y, BALL)
        loss = nn.functional.cross_entropy(-lower, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()[None]

    return work


@dataclass(frozen=True)
class Work:
    """One comparison: a call, its network, images a round, rounds, and the tolerance between results."""

    name: str
    call: Callable[[str, nn.Sequential], Callable[[Batch], Tensor]]
    sizes: tuple[int, int, int]
    batch: int
    rounds: int
    rtol: float = 1e-3


WORKS = (
    Work("exact bounds, small MNIST net", bounds, (16, 32, 100), 5, 11),
    Work("robust training step, small MNIST net", step, (16, 32, 100), 50, 5),
    Work("exact bounds, 1,304 hidden units", bounds, WIDE[1_304], 2, 11),
    Work("exact bounds, 10,432 hidden units", bounds, WIDE[10_432], 2, 5),
    # Columns are drawn by each library for itself: losses agree on average.
    Work("projected training step, small MNIST net", projected, (16, 32, 100), 50, 7, rtol=0.2),
    Work("exact bounds, 40,424 hidden units", bounds, WIDE[40_424], 1, 3),
    # Of two images at the greatest width either library's draws lie between 2.6 and 3.0, round the exact loss of 2.75.
    *(
        Work(f"projected bounds, {units:,} hidden units", estimates, sizes, 2, 5, rtol=0.2)
        for units, sizes in WIDE.items()
    ),
)
KINDS = ("exact bounds", "projected bounds")
RESIDUAL = "exact bounds, residual CIFAR-10 net, 107,496 hidden units"
"""Memory of robustlib alone: one image, initial weights, 2/255."""
GROWTH = "growth, 1,304 to 10,432 hidden units"
EXPONENT = "exponent of {kind} in hidden units"
"""Slope of the line through log time over log units at the three widths of :data:`WIDE`."""
COMPETITION = "exact bounds, resnet_2b of VNN-COMP 2021"
"""One image of robustlib alone, where the competition's networks are at hand."""
ATTENTION = "exact bounds, vision transformer of 17 tokens"
"""One image of robustlib alone: one layer of torchvision's at initial weights, two heads of eight values, eps 0.001."""
ASKED: dict[str, Row] = {
    WORKS[0].name: {"asked": 0.35, "peak_asked": 0.3},
    WORKS[1].name: {"asked": 0.25},
    WORKS[2].name: {"asked": 0.6},
    WORKS[3].name: {"asked": 0.35},
    WORKS[4].name: {"asked": 0.45},
    GROWTH: {"growth_asked": 30.0},
}
"""What this project set itself for robustlib, at most."""


def batches(work: Work) -> list[Batch]:
    """One class-balanced batch of test images a round."""
    test = load("mnist").test
    rows = balanced_subset(test.y, 10 * -(-work.batch * work.rounds // 10), seed=0)[: work.batch * work.rounds]
    return list(zip(test.images(rows).split(work.batch), test.y[rows].split(work.batch), strict=True))


def measure(work: Work, libraries: Sequence[str], say: Callable[[str], None]) -> dict[str, Row]:
    """Rows of one work: each library's time over convex-adversarial's, and its seconds for an image."""
    blocks = batches(work)
    calls = {library: work.call(library, network(*work.sizes)) for library in libraries}
    found = interleave(calls, blocks, floor=libraries[0], warm_up=blocks[0], say=say)
    reference = found[libraries[0]].results
    for library, measured in found.items():
        for ours, theirs in zip(measured.results, reference, strict=True):
            if not torch.allclose(ours, theirs, rtol=work.rtol, atol=1e-3):
                off = float((ours - theirs).abs().max())
                raise RobustlibError(f"{library} is off by {off:.3g} from {libraries[0]} in {work.name}")
    rows: dict[str, Row] = {}
    for library, measured in found.items():
        shares = {"products": products(calls[library], blocks[0])} if work.call is bounds else {}
        rows[library] = shares | {
            "work": work.name,
            "library": library,
            "ratio": round(measured.ratio, 3),
            "milliseconds": round(1e3 * statistics.median(measured.seconds) / work.batch, 2),
            "images": work.batch,
            "rounds": work.rounds,
        }
    return rows


def products(call: Callable[[Batch], Tensor], batch: Batch) -> float:
    """Share of a call's processor time in convolutions and matrix products: what the bound consists of.

    The profiler's own time falls on the many small operations, so that the share is at least this.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        call(batch)
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    inside = sum(time for name, time in spent.items() if "convolution" in name or name in _PRODUCTS)
    return round(inside / sum(spent.values()), 2)


_PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm")


def peak(name: str, library: str) -> float:
    """Megabytes above the process's memory before the call, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.certify", "--peak", name, library]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8")
    if ran.returncode:
        raise RobustlibError(f"memory of {library} in {name}: {ran.stderr.strip()[-500:]}")
    return float(ran.stdout.split()[-1])


def _print_peak(name: str, library: str) -> None:
    draw, call, ball = torch.Generator().manual_seed(0), None, LinfBall(2 / 255, None)
    net: nn.Module = build(ModelSpec("scaled_resnet", 16), input_shape=(3, 32, 32), classes=10, generator=draw).eval()
    shape = (1, 3, 32, 32)
    for work in WORKS:
        if work.name == name:
            call, shape = work.call(library, network(*work.sizes)), (work.batch, 1, 28, 28)
    # Noise in place of images: reading those needs memory as well.
    x, y = torch.rand(shape, generator=draw), torch.arange(shape[0]) % 10
    if name in ALONE:
        net, x, y, ball = ALONE[name]()
    held = _highest()
    _ = certify(net, x, y, ball) if call is None else call((x, y))
    print(_highest() - held)


def _highest() -> float:
    """Megabytes at most resident: the kernel's figure for this program, where getrusage's begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return float(status.split("VmHWM:")[1].split()[0]) / 2**10


def rows(libraries: Sequence[str] = LIBRARIES, say: Callable[[str], None] = lambda line: None) -> list[Row]:
    """All rows, convex-adversarial's first in each work."""
    found = {work.name: measure(work, libraries, say) for work in WORKS}
    for work in WORKS[:2]:
        peaks = {library: peak(work.name, library) for library in libraries}
        for library, megabytes in peaks.items():
            found[work.name][library] |= {
                "peak_mb": round(megabytes),
                "peak_ratio": round(megabytes / max(1.0, peaks[libraries[0]]), 3),
            }
    small, large = (found[work.name] for work in WORKS[2:4])
    growth = {library: large[library]["milliseconds"] / small[library]["milliseconds"] for library in libraries}
    found[GROWTH] = {
        library: {
            "work": GROWTH,
            "library": library,
            "growth": round(growth[library], 1),
            "ratio": round(growth[library] / growth[libraries[0]], 3),
        }
        for library in libraries
    }
    for kind in KINDS:
        name = EXPONENT.format(kind=kind)
        slopes = {
            library: exponent([found[f"{kind}, {n:,} hidden units"][library] for n in WIDE]) for library in libraries
        }
        found[name] = {
            library: {"work": name, "library": library, "exponent": slopes[library]} for library in libraries
        }
    every = [row for work in found.values() for row in work.values()]
    if "robustlib" in libraries:
        timed = {
            name: alone(*make()) for name, make in ALONE.items() if name != COMPETITION or COMPETITION_FILE.exists()
        }
        for name, row in {RESIDUAL: {}, **timed}.items():
            megabytes = round(peak(name, "robustlib"))
            every.append({"work": name, "library": "robustlib", "peak_mb": megabytes, "images": 1, **row})
    return every


def exponent(measured: Sequence[Row]) -> float:
    """Least-squares slope of log milliseconds over log units at the widths of :data:`WIDE`."""
    times = [math.log(row["milliseconds"]) for row in measured]
    return round(statistics.linear_regression([math.log(n) for n in WIDE], times).slope, 2)


def alone(net: nn.Module, x: Tensor, y: Tensor, ball: LinfBall) -> Row:
    """Milliseconds for one image."""
    calls = {"robustlib": lambda _: certify(net, x, y, ball)}
    seconds = interleave(calls, range(3), floor="robustlib", warm_up=0)["robustlib"].seconds
    return {"milliseconds": round(1e3 * statistics.median(seconds), 2), "rounds": len(seconds)}


def _competition() -> tuple[nn.Module, Tensor, Tensor, LinfBall]:
    """The network, the centre and the label of its first property, and its box as a ball of a scalar radius."""
    import numpy as np
    import onnx
    import onnx2torch

    model = onnx.load(COMPETITION_FILE)
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    with np.load(COMPETITION_FILE.with_suffix(".npz"), allow_pickle=False) as file:
        lower, upper = (torch.from_numpy(file[edge][:1]).view(-1, *shape) for edge in ("lower", "upper"))
        label = torch.from_numpy(file["label"][:1])
    radius = float((upper - lower).max()) / 2
    return onnx2torch.convert(model).eval(), (lower + upper) / 2, label, LinfBall(radius, None)


def _attention() -> tuple[nn.Module, Tensor, Tensor, LinfBall]:
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = VisionTransformer(16, 4, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=10).eval()
        return net, torch.rand(1, 3, 16, 16), torch.tensor([0]), LinfBall(0.001, None)


ALONE: dict[str, Callable[[], tuple[nn.Module, Tensor, Tensor, LinfBall]]] = {
    COMPETITION: _competition,
    ATTENTION: _attention,
}
"""Works of robustlib alone: network, image, label and ball."""
COLUMNS = (
    "work",
    "library",
    "ratio",
    "asked",
    "peak_ratio",
    "peak_asked",
    "growth",
    "growth_asked",
    "exponent",
    "products",
    "milliseconds",
    "peak_mb",
    "images",
    "rounds",
)


def table(found: Sequence[Row]) -> str:
    """A Markdown table, what was asked of robustlib beside what it reached; what a row does not have stays empty."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in found:
        shown = row | (ASKED.get(row["work"], {}) if row["library"] == "robustlib" else {})
        lines.append("| " + " | ".join(str(shown.get(column, "")) for column in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def page(kept: Sequence[Row]) -> str:
    """All machines' tables as a Markdown page; the rows of one machine stand together."""
    text = "# Certificates beside convex-adversarial\n\nWritten by `python -m benchmarks.certify --out benchmarks`"
    text += "; see README.md.\n"
    for device, group in itertools.groupby(kept, key=lambda row: row["device"]):
        chosen = list(group)
        text += f"\n## {device}\n\ntorch {chosen[0]['torch']}\n\n{table(chosen)}"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON with --json; progress goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certify", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="a list of rows, in place of the table")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the rows in its certify.json and certify.md")
    parser.add_argument("--library", action="append", choices=LIBRARIES, help="repeatable; the first is the unit")
    parser.add_argument("--peak", nargs=2, metavar=("WORK", "LIBRARY"), help="print one call's megabytes")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    exact_arithmetic()
    if options.peak:
        _print_peak(*options.peak)
        return 0
    tune_allocator()
    found = rows(options.library or LIBRARIES, lambda line: print(line, file=sys.stderr, flush=True))
    where = machine()
    if options.out is not None:
        path = options.out / "certify.json"
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        kept = sorted(merged(earlier, [row | where for row in found]), key=lambda row: row["device"])
        path.write_text(f"{json.dumps(kept, indent=1)}\n", encoding="utf-8")
        (options.out / "certify.md").write_text(page(kept), encoding="utf-8")
    print(json.dumps([row | where for row in found], indent=1) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
