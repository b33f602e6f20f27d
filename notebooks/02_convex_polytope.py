# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The convex outer adversarial polytope (Wong and Kolter 2018)
#
# An attack that fails proves nothing. *Provable defenses against adversarial examples via the convex outer adversarial polytope*
# {cite}`wong2018` proves instead: for a ReLU network and an input it computes, about as one trains a network, a number that no
# perturbation in the ball can undercut, and it trains networks for which that number is large. This chapter states the idea,
# shows each of its parts at work on networks small enough to know the truth, and then goes through the paper's tables and figures.

# %% tags=["parameters", "remove-input"]
profile = "best"
device = "cpu"
recompute = False

# %% tags=["remove-input"]
from robustlib.book.chapter import check_parameters, prepare

check_parameters(globals())

import time
from itertools import pairwise

import torch
from torch.nn.functional import cross_entropy

from robustlib.attacks import pgd
from robustlib.certify import certify, detect, largest_certified_radius, margins, optimum
from robustlib.certify.polygon import outline
from robustlib.data import load
from robustlib.papers.wong2018 import networks as wong
from robustlib.catalogue.base import published_of
from robustlib.report.plots.regions import decision_regions
from robustlib.report.plots import style
from robustlib.report.plots.curves import Curve, curve_panels
from robustlib.papers.wong2018 import figures as drawn
from robustlib.papers.wong2018 import sketches
from robustlib.report.citations import filled
from robustlib.report.display import (
    cite_row, show_drawing, show_item, show_markdown, show_released, show_rows, show_statements,
)  # fmt: skip
from robustlib.report.join import rows as rows_of
from robustlib.report.plots.records import shared_profile
from robustlib.spec.keys import parse
from robustlib.threat import LinfBall

store = prepare("wong2018", profile, device, recompute=recompute)


def line_of(problem, robust):
    """The label of a line of Table 1."""
    return f"PROBLEM={problem};ROBUST={'✓' if robust else '×'};ϵ={wong.PROBLEMS[problem].eps:g}"


def printed_rows(problem, robust):
    """Our rows of that line under the columns that the paper prints, as far as they are measured."""
    return [
        row
        for row in rows_of("wong2018/table-1", profile, store)
        if row.label == line_of(problem, robust) and row.column.isupper() and row.values
    ]


def rests_on(problem, robust):
    """What these rows rest on, and their verdicts, in words."""
    found = printed_rows(problem, robust)
    if not found:
        return "not run"
    base = dict.fromkeys(
        f"{row.seeds} network{'s' * (row.seeds > 1)}, {row.n:,} points, {row.evidence}" for row in found
    )
    verdicts = {}
    for row in found:
        verdicts.setdefault(row.verdict.name, []).append(row.column)
    return f"{'; '.join(base)}: " + ", ".join(f"*{name}* ({', '.join(columns)})" for name, columns in verdicts.items())


def verdict(problem, column):
    """The verdict on the undefended network's number."""
    return next((row.verdict.name for row in printed_rows(problem, False) if row.column == column), "not run")


# %% [markdown]
# ## In three sentences

# %% tags=["remove-input"]
show_markdown(
    filled(
        "A network can be trained so that a proof covers nearly every point: on MNIST at 0.1 the paper proves that no attack causes more than {paper:wong2018-008} errors, and here the bound is "
        "{row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=✓;ϵ=0.1|ROBUST ERROR BOUND}, with PGD at {row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=✓;ϵ=0.1|PGD ERROR} just below. "
        "The networks without a defence are where numbers differ: our PGD breaks {row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=×;ϵ=0.1|PGD ERROR} of MNIST (verdict: "
        + verdict("MNIST", "PGD ERROR") + ") and {row:wong2018/table-1/fashion-mnist:PROBLEM=FASHION-MNIST;ROBUST=×;ϵ=0.1|PGD ERROR} of Fashion-MNIST (" + verdict("FASHION-MNIST", "PGD ERROR")
        + "), the paper's {paper:wong2018-003} and {paper:wong2018-011}. On MNIST rounding may be all of it: "
        "PGD never leaves a point whose gradient is rounded to zero, and where arithmetic has no subnormal numbers that happens to {row:wong2018/vanishing-gradients:MNIST, 100 epochs|gradient zero without subnormal numbers} "
        "of the points of our networks, and the same attack causes {row:wong2018/vanishing-gradients:MNIST, 100 epochs|error under PGD without subnormal numbers} of errors. "
        "How sure that is: the undefended rows rest on " + rests_on("MNIST", False) + " for MNIST, and " + rests_on("FASHION-MNIST", False) + " for Fashion-MNIST, whose epochs in the paper are not known; "
        "the robust MNIST row on " + rests_on("MNIST", True) + "; "
        "and the bound itself is checked against integer programs and the authors' own weights.",
        profile, store,
    )
)  # fmt: skip

# %% [markdown]
# ## The idea
#
# Let $f_\theta$ be a network of $k$ layers, $z_1 = x$, $\hat z_{i+1} = W_i z_i + b_i$ and $z_i = \max(\hat z_i, 0)$, with logits
# $f_\theta(x) = \hat z_k$. The *adversarial polytope* is the set of all logits that the adversary can reach,
#
# $$ \mathcal{Z}_\varepsilon(x) = \{ f_\theta(x + \Delta) : \lVert\Delta\rVert_\infty \le \varepsilon \}. $$ (eq-polytope)
#
# If the right logit leads everywhere in it, no attack can succeed, known or unknown. To find the worst point is hard, because the set is not
# convex. The paper puts a larger, convex set around it: where a unit's input is known to lie in $[\ell, u]$ with $\ell < 0 < u$, the graph of the
# ReLU is replaced by the triangle over it,
#
# $$ z \ge 0, \qquad z \ge \hat z, \qquad -u \hat z + (u - \ell) z \le -u \ell. $$ (eq-relu)
#
# Units with $\ell \ge 0$ or $u \le 0$ are linear already and stay as they are. What remains is a *linear program*: minimise $c^\top \hat z_k$
# over the outer set $\tilde{\mathcal{Z}}_\varepsilon(x)$ with $c = e_{y^*} - e_{\mathrm{targ}}$. If its optimum is positive for
# every other class, $x$ is certified.
#
# Solving that program for each image and class is slow. Linear programs have duals, and any feasible point of the dual is a lower bound. Here the
# dual is itself a network, run backwards: $\nu_k = -c$, $\hat\nu_i = W_i^\top \nu_{i+1}$ and, at units that cross zero,
# $\nu_{i,j} = \frac{u_{i,j}}{u_{i,j} - \ell_{i,j}} [\hat\nu_{i,j}]_+ - \alpha_{i,j} [\hat\nu_{i,j}]_-$. Its value is
#
# $$
# J_\varepsilon(x, g_\theta(c, \alpha)) = - \sum_{i=1}^{k-1} \nu_{i+1}^\top b_i - x^\top \hat\nu_1 - \varepsilon \lVert \hat\nu_1 \rVert_1
# + \sum_{i=2}^{k-1} \sum_{j \in \mathcal{I}_i} \ell_{i,j} [\nu_{i,j}]_+ ,
# $$ (eq-dual)
#
# where $\mathcal{I}_i$ are the units that cross zero. Every $\alpha \in [0,1]$ gives a valid bound; the paper takes $\alpha_{i,j} = u_{i,j} / (u_{i,j} - \ell_{i,j})$,
# which makes the dual network linear. The bounds $\ell, u$ come from the same formula, layer by layer.
#
# For training, the *robust loss* puts these bounds where the logits were,
#
# $$
# \min_\theta \sum_{i=1}^N L\big( -J_\varepsilon(x_i, g_\theta(e_{y_i} 1^\top - I)), \, y_i \big)
# \quad \ge \quad \min_\theta \sum_{i=1}^N \max_{\lVert\Delta\rVert_\infty \le \varepsilon} L(f_\theta(x_i + \Delta), y_i) .
# $$ (eq-robust)
#
# On the right is robust optimisation: the *inner* problem, a maximum, is the attack; the *outer* one, a minimum, is the training. On the left the
# inner maximum has been replaced by an upper bound that needs no attack. (The slide deck names the two the other way round.)
#
# The inequality needs two properties of the loss, which the cross-entropy has: adding one number to all logits does not change it, so that only differences to the true class's
# logit count, and it does not fall when another class's logit rises.

# %% [markdown]
# ## At work, where the truth is known
#
# ### The polytope
#
# A network with two outputs has a polytope that can be drawn. This one is random, of the paper's shape: two inputs, four layers of 100 units. Blue are
# the outputs of sampled inputs. For the outer set, a linear layer behind the network turns 72 directions into "logits"; `certify` bounds each of them, and the
# bounds cut a polygon out of the plane.


# %%
def dense(*sizes, seed):
    """A ReLU network with PyTorch's default distribution of weights."""
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for before, after in pairwise(sizes):
        layer = torch.nn.Linear(before, after)
        for values in layer.parameters():
            torch.nn.init.uniform_(values, -(before**-0.5), before**-0.5, generator=draw)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def outer_polygon(net, x, ball, directions, slopes):
    """Corners of the region that bounds on the output leave, one bound a direction."""
    head = torch.nn.Linear(2, 1 + len(directions), bias=False, dtype=x.dtype)
    with torch.no_grad():
        # The margin of row 0 over row k is the direction k itself.
        head.weight[0], head.weight[1:] = 0.0, -directions
    zero = torch.zeros(len(x), dtype=torch.int64)
    least = certify(torch.nn.Sequential(net, head), x, zero, ball, slopes=slopes).margins[0, 1:]
    return least, outline(directions, least, net(x)[0].detach())


net = dense(2, 100, 100, 100, 100, 2, seed=1).double()
x = torch.zeros(1, 2, dtype=torch.float64)
angles = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)[:-1]
directions = torch.stack([angles.cos(), angles.sin()], 1)
cloud = torch.rand(6000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
cloud = 2 * cloud - 1
panels, holds, tighter = {}, [], []
for eps in (0.05, 0.1, 0.15, 0.25):
    ball = LinfBall(eps, domain=None)
    outputs = net(x + eps * cloud).detach()
    fixed, large = outer_polygon(net, x, ball, directions, "fixed")
    adaptive, small = outer_polygon(net, x, ball, directions, "adaptive")
    panels[rf"$\varepsilon$ = {eps:g}"] = (outputs, {"the paper's bound": large, "slopes that adapt": small})
    least = (outputs @ directions.T).amin(0)
    holds += [bool((bound <= least).all()) for bound in (fixed, adaptive)]
    tighter.append(float((least - adaptive).mean()) < float((least - fixed).mean()))

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-sketch", "caption": "What a random network with two outputs makes of a ball, and outer bounds on it. The scales differ (figure 1 of the paper is a sketch of this; its appendix has a computed one)."}}
style.show(
    sketches.output_sets(panels),
    alt="Four panels, for growing radii. A small, bent cloud of outputs lies inside two polygons: the paper's bound and the one "
    "with adaptive slopes, which is smaller. With the radius the polygons grow far faster than the cloud.",
)


# %% tags=["remove-input"]
def tell(verdicts):
    print("\n".join(f"{'yes' if holds else 'no':4}{text}" for text, holds in verdicts.items()))


tell({
    "every sampled output lies inside every polygon": all(holds),
    "slopes that adapt leave less room, on average over the directions, at every radius": all(tighter),
})  # fmt: skip

# %% [markdown]
# **Why is the polytope not convex?** The network is linear only piece by piece: within a region where no unit changes its sign the box is mapped to a flat
# piece, and at each sign change the pieces meet at an angle. A union of such pieces bends, as the blue clouds do, and the segment between two reachable outputs
# leaves the set. (The deck gives complicated decision boundaries as the reason. They are another set, in the input space.)
#
# **How does convexity help?** A linear function over a convex polytope has its minimum at a corner that a linear program finds, without local minima, and whose value
# the dual bounds from below at any moment. Over the bent set the same question is a search over sign patterns. The price is visible: the polygon holds
# points that no input reaches, and a proof can fail because of them.

# %% [markdown]
# ### One unit
#
# The only loss of precision is at ReLUs whose sign can change.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-relu", "caption": "The relaxation of one ReLU on [l, u] (figure 2 of the paper), with two choices of the lower line. The shaded triangle is the relaxed set."}}
style.show(
    sketches.relaxation(-1.0, 1.6),
    alt="The graph of a ReLU between l and u with the triangle over it. The paper's lower line has the slope of the upper one; "
    "the line that adapts, here of slope one, lies along the ReLU.",
)

# %% [markdown]
# ### Training on the bound
#
# Twelve points in the unit square, at least $2r$ apart, and a network with four hidden layers, after the toy problem of the authors' repository. `margins` are
# the numbers $J$; `cross_entropy(-margins, y)` is all that it takes to train on them. Around each point stands the box of $\varepsilon = r/2$; the filled square
# is the largest one that is certified.

# %%
r = 0.16
draw = torch.Generator().manual_seed(3)
plane = torch.rand(1, 2, generator=draw)
while len(plane) < 12:
    point = torch.rand(1, 2, generator=draw)
    if ((plane - point).abs().sum(1) > 2 * r).all():
        plane = torch.cat([plane, point])
sides = torch.randint(2, (12,), generator=draw)
box = LinfBall(r / 2, domain=None)


def train(net, loss, steps, weight_decay=0.0):
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=weight_decay)
    for step in range(steps):
        optimiser.zero_grad()
        loss(net, step).backward()
        optimiser.step()
    return net.eval()


losses = {
    "standard loss": lambda net, _: cross_entropy(net(plane), sides),
    "robust loss": lambda net, _: cross_entropy(
        -margins(net, plane, sides, box), sides
    ),
}
toys = {
    name: train(dense(2, 100, 100, 100, 100, 2, seed=0), loss, 500)
    for name, loss in losses.items()
}
radii = {
    name: largest_certified_radius(net, plane, sides, norm="linf", domain=None)
    for name, net in toys.items()
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-plane", "caption": "Decision regions after training on the points and on the bound. Outlined: the box of the adversary; filled: the largest certified box (figure 3 of the paper, by recollection)."}}
axis = torch.linspace(-0.25, 1.25, 121)
mesh = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
regions = {}
for name, toy in toys.items():
    with torch.no_grad():
        scores = toy(mesh)
    regions[name] = (axis, axis, (scores[:, 1] - scores[:, 0]).reshape(121, 121))
style.show(
    decision_regions(regions, plane, sides, eps=box.eps, certified=radii),
    alt="Two panels with twelve points in boxes. After standard training the boundary passes close to some points and their certified boxes are smaller "
    "than the adversary's; after training on the bound every certified box is larger.",
)

# %% tags=["remove-input"]
sure = {name: int(certify(toy, plane, sides, box).certified.sum()) for name, toy in toys.items()}
tell({
    "both networks classify all twelve points correctly": all(bool((toy(plane).argmax(1) == sides).all()) for toy in toys.values()),
    "standard training leaves at least two points uncertified": sure["standard loss"] <= 10,
    "training on the bound certifies at least eleven": sure["robust loss"] >= 11,
})  # fmt: skip

# %% [markdown]
# ### How tight, against the exact answer
#
# On tiny networks a mixed-integer program {cite}`tjeng2019` gives the exact margin, with one yes-or-no variable a unit, and the linear program gives
# the best that any choice of $\alpha$ can reach under the same bounds $\ell, u$. Both are solved by HiGHS and share no formula with the dual. Below are the margins of random
# networks with two hidden layers of ten units.

# %% tags=["remove-input"]
METHODS = ("linear program", "the paper's slopes", "slopes that adapt", "intervals")
found = {name: [] for name in ("exact", *METHODS)}
near = LinfBall(0.6, domain=None)
for seed in range(8):
    tiny = dense(4, 10, 10, 3, seed=seed).double()
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = tiny(x).argmax(1)
    others = torch.ones(2, 3, dtype=torch.bool).scatter(1, y[:, None], False)
    each = (
        optimum(tiny, x, y, near, integer=True),
        optimum(tiny, x, y, near),
        certify(tiny, x, y, near).margins,
        certify(tiny, x, y, near, slopes="adaptive").margins,
        certify(tiny, x, y, near, method="interval").margins,
    )
    for values, bound in zip(found.values(), each, strict=True):
        values.append(bound[others].detach())
found = {name: torch.cat(values) for name, values in found.items()}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-lp", "caption": "Bounds less the exact margins that they bound, random tiny networks. On the dashed line a bound is tight."}}
style.show(
    sketches.against_optimum(
        {"": {name: (found["exact"], found[name]) for name in METHODS}},
        xlabel="exact margin (logits)", ylabel="bound less the exact margin (logits)",
    ),
    alt="Bounds less the exact margins. All points lie on or below zero: the linear program nearest to it, the dual with either "
    "choice of slopes a little lower, and intervals far below.",
)

# %% tags=["remove-input"]
gap = {name: float((found["exact"] - found[name]).mean()) for name in METHODS}
tell({
    "no bound is above the exact margin, to 1e-6": all(bool((found[name] <= found["exact"] + 1e-6).all()) for name in METHODS),
    "the dual is never above the linear program, to 1e-6":
        bool((found["the paper's slopes"] <= found["linear program"] + 1e-6).all()),
    "the linear program has the smallest mean gap, intervals the largest":
        min(gap, key=gap.get) == METHODS[0] and max(gap, key=gap.get) == METHODS[-1],
    "intervals lose at least three times what the paper's slopes lose": gap["intervals"] > 3 * gap["the paper's slopes"],
    "some margins are above zero, which the integer program shows and the paper's slopes do not":
        bool(((found["exact"] > 1e-3) & (found["the paper's slopes"] < -1e-3)).any()),
})  # fmt: skip

# %% [markdown]
# ### What exactness costs
#
# The number of sign patterns doubles with each undecided unit. SMT solvers and integer programs are the exact alternative, and do not scale; here is an integer program
# beside the dual, on one input and growing networks. Times differ from machine to machine, so only what holds with a wide margin is reported.


# %% tags=["remove-input"]
def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


wide = LinfBall(0.5, domain=None)
x = torch.randn(1, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
exactly, by_bound = [], []
for width in (5, 20):
    tiny = dense(4, width, width, 3, seed=1).double()
    y = tiny(x).argmax(1)
    exactly.append(seconds(lambda tiny=tiny, y=y: optimum(tiny, x, y, wide, integer=True)))
    by_bound.append(min(seconds(lambda tiny=tiny, y=y: certify(tiny, x, y, wide)) for _ in range(3)))
tell({
    "at 40 hidden units the exact program takes over 20 times as long as the bound": exactly[1] > 20 * by_bound[1],
    "from 10 to 40 units the exact program's time grows more than the bound's": exactly[1] / exactly[0] > by_bound[1] / by_bound[0],
})  # fmt: skip

# %% [markdown]
# ### Tightness, and what training does to it
#
# Scikit-learn's $8 \times 8$ digits and networks of one hidden layer, like the MNIST network of the paper's appendix on tightness: trained as usual, with a strong
# weight decay, and on the bound at $\varepsilon = 0.1$ with a ramp over the first half. For each radius stands the error under 20 steps of PGD, which is below
# the truth, and the shares that the bounds do not certify, which are above it. As in the paper nothing is clipped to $[0,1]$.

# %%
digits = load("digits")
images, classes = digits.train.images(), digits.train.y
STEPS, EPS = 500, 0.1


def batch(step):
    rows = torch.randint(len(classes), (64,), generator=torch.Generator().manual_seed(step))
    return images[rows], classes[rows]


def standard(net, step):
    x, y = batch(step)
    return cross_entropy(net(x), y)


def robust(net, step):
    x, y = batch(step)
    eps = EPS * min(1.0, 2 * step / STEPS)
    return cross_entropy(-margins(net, x, y, LinfBall(eps, domain=None)), y)


def network():
    return torch.nn.Sequential(torch.nn.Flatten(), *dense(64, 100, 10, seed=0))


trained = {
    "standard loss": train(network(), standard, STEPS),
    "weight decay": train(network(), standard, STEPS, weight_decay=0.03),
    "robust loss": train(network(), robust, STEPS),
}


def attack(net, x, y, eps):
    """Twenty steps of PGD from one random start, unclipped."""
    return pgd(net, x, y, LinfBall(eps, domain=None), steps=20, step_size=eps / 5, generator=torch.Generator().manual_seed(1))


def errors(net, x, y, eps):
    """Shares of errors in per cent: under PGD, and not certified by each bound."""
    ball = LinfBall(eps, domain=None)
    broken = (net(attack(net, x, y, eps)).argmax(1) != y) | (net(x).argmax(1) != y)
    kinds = {"slopes that adapt": {"slopes": "adaptive"}, "the paper's bound": {}, "intervals": {"method": "interval"}}
    unproven = {name: ~certify(net, x, y, ball, **options).certified for name, options in kinds.items()}
    return {name: 100 * float(lost.float().mean()) for name, lost in {"PGD": broken, **unproven}.items()}


# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-tightness", "caption": "Error under PGD and share of digits not certified, against the radius, in three ways of training. The true error lies between PGD and the lowest bound."}}
x, y = digits.test.images(), digits.test.y
swept = [0.0125, 0.025, 0.05, 0.1, 0.2]
measured = {name: [errors(net, x, y, eps) for eps in swept] for name, net in trained.items()}
style.show(
    curve_panels(
        {
            name: {kind: Curve(swept, [line[kind] for line in lines]) for kind in lines[0]}
            for name, lines in measured.items()
        },
        xlabel=r"radius $\varepsilon$", ylabel="error, or not certified (%)", xscale="log", ticks=swept, baseline="zero",
    ),
    alt="Three panels of error against the radius. At the radius of training the gap between PGD's error and the paper's bound is under half of "
    "that after standard training where the network was trained on the bound; at the largest radius it has opened there too. Intervals prove next to nothing at the radius of training in any panel.",
)  # fmt: skip

# %% tags=["remove-input"]
last = {name: lines[swept.index(EPS)] for name, lines in measured.items()}
bound = "the paper's bound"
between = {name: line[bound] - line["PGD"] for name, line in last.items()}
tell({
    "no bound lies below PGD's error": all(line[kind] >= line["PGD"] for lines in measured.values() for line in lines for kind in line),
    "at the radius of training, the bound proves most for the network trained on it": min(last, key=lambda name: last[name][bound]) == "robust loss",
    "there, the gap between PGD and the bound is under half of that after standard training":
        between["robust loss"] < between["standard loss"] / 2,
    "intervals prove nothing there, for any of the three": all(line["intervals"] > 98 for line in last.values()),
    "weight decay takes PGD's error down by ten points or more, but leaves over five points more than the robust loss":
        last["standard loss"]["PGD"] - 10 > last["weight decay"]["PGD"] > last["robust loss"]["PGD"] + 5,
})  # fmt: skip

# %% [markdown]
# **Why does tightness matter?** A loose bound makes no attack easier: whatever is proven, the network and PGD's error are the same. What a loose bound costs is proof
# (points that no attack reaches and that nobody can certify) and, when it is trained on, accuracy: the training fights perturbations that do not exist. The
# other direction is the paper's discovery: training on a bound makes *this* bound tight. The interval bound stays useless on all three networks
# here.


# %% tags=["remove-input"]
def theirs_and_intervals():
    """Shares that intervals leave uncertified on the authors' robust networks, beside those of the paper's bound."""
    told, found = [], {(row.label, row.column): row.authors for row in rows_of("wong2018/table-1", profile, store)}
    for problem in wong.RELEASED:
        own, loose = (found[line_of(problem, True), column] for column in ("ROBUST ERROR BOUND", "bound, intervals"))
        if own is not None and loose is not None:
            told.append(
                f"{loose.value:.1f} % of {problem} uncertified, where the paper's bound leaves {own.value:.1f} %"
            )
    return "; ".join(told) or "not run"


show_markdown(
    filled(
        "Of the authors' own networks, which nothing but the paper's bound trained, it leaves " + theirs_and_intervals() + ". "
        "Of ours on HAR, trained by the exact bound alone, the paper's bound leaves {row:wong2018/table-1/har:PROBLEM=HAR;ROBUST=✓;ϵ=0.05|ROBUST ERROR BOUND} and intervals "
        "{row:wong2018/table-1/har:PROBLEM=HAR;ROBUST=✓;ϵ=0.05|bound, intervals}. "
        "Where intervals do nearly as well, on our reduced networks of MNIST ({row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=✓;ϵ=0.1|bound, intervals}) and Fashion-MNIST "
        "({row:wong2018/table-1/fashion-mnist:PROBLEM=FASHION-MNIST;ROBUST=✓;ϵ=0.1|bound, intervals}), that bound trained them first: "
        "it is that training, and not the paper's, which is the likely cause.",
        profile, store,
    )
)  # fmt: skip

# %% [markdown]
# Weight decay stands for regularisers, the other alternative. It does make the network harder to attack, and the certificate says so
# without having been trained on; but a regulariser promises nothing by itself, and at equal radius the robust loss leaves fewer points to both.

# %% [markdown]
# ### Detection
#
# At test time the label is unknown. Corollary 2 runs the same test with the *predicted* label and flags what is not certified. If an input was moved from $x$ to
# $x'$ within the ball and its class changed, then $x$ lies in the ball of $x'$ and has another class, so that $x'$ cannot be certified: it is flagged.

# %%
net = trained["robust loss"]
guard = LinfBall(EPS, domain=None)
clean = net(x).argmax(1)
inside, outside = attack(net, x, y, EPS), attack(net, x, y, 4 * EPS)
flagged = {
    "clean": detect(net, x, guard),
    "moved": detect(net, inside, guard),
    "moved far": detect(net, outside, guard),
}

# %% tags=["remove-input"]
changed, far = net(inside).argmax(1) != clean, net(outside).argmax(1) != clean
tell({
    "over 30 inputs change their class within the ball": int(changed.sum()) > 30,
    "every one of them is flagged": bool(flagged["moved"][changed].all()),
    "of inputs moved four times as far, some change their class and are not flagged": bool((far & ~flagged["moved far"]).any()),
    "over 10 % of the clean inputs are flagged too": float(flagged["clean"].float().mean()) > 0.1,
    "some clean inputs have a wrong class and are not flagged": bool(((clean != y) & ~flagged["clean"]).any()),
})  # fmt: skip

# %% [markdown]
# It is tempting to say that every real attack will be detected. What is proven is narrower: every perturbation *inside this ball* that *changes the class*. Beyond the ball
# there is no promise. An input that is wrong without any attack may pass, for nothing had to be changed. And the flag is not free: clean inputs whose
# own ball is not certified raise it as well, so that a network with a high bound flags most of what it sees.


# %% tags=["remove-input"]
def paper(problem, robust, column):
    return published_of("wong2018/table-1")[line_of(problem, robust), column].text + " %"


# %% [markdown]
# ## The paper's figures and tables
#
# The text of the paper was not at hand while this was written. What is compared with it is Table 1, as the first slide deck reprints it; figures
# whose numbers or places are known only from memory say so. On [another page](../book/demo.md) you can draw a digit, attack it, and see what this
# bound proves of it. [How to read a row](../book/how_to_read.md) explains verdicts and intervals.
#
# ### Figures 1 and 2: the polytope and the relaxed unit
#
# Drawn above from networks at hand, {numref}`fig-polytope-sketch` and {numref}`fig-polytope-relu`. What a record can say of them: how many points the bound leaves without a proof on networks of
# MNIST's threes and sevens, whose two outputs could be drawn as well, and how many units of the MNIST networks the relaxation loosens at all.

# %% tags=["remove-input"]
sketched = [wong.bound(wong.pair(robust=robust), wong.PROBLEMS["MNIST"].threat) for robust in (False, True)]
show_item("wong2018/polytope-sketch", shared_profile(sketched, profile, store), store)
show_item("wong2018/relu-relaxation", profile, store)

# %% [markdown]
# ### Figure 3: twelve points in the plane
#
# {numref}`fig-polytope-plane` above shows the idea on points of this book's own. The table is about the authors' twelve points. Its published losses are the output of a notebook in
# their repository (`examples/2D.ipynb`), not numbers of the paper: agreement with them says something of the authors' code and nothing of the paper's results. Ours begin with other
# first weights, so that early losses vary from seed to seed.

# %% tags=["remove-input"]
show_statements("wong2018/toy-2d", profile, store)
show_item("wong2018/toy-2d", profile, store)

# %% [markdown]
# ### The true polytope and its outer bound
#
# (Appendix, by recollection.) A random network with two outputs: the area that the bound proves, over the area of the hull of sampled outputs. The samples see less than all that can be reached, so
# the ratios are upper bounds on what the relaxation adds.

# %% tags=["remove-input"]
show_statements("wong2018/true-polytope", profile, store)
show_item("wong2018/true-polytope", profile, store)

# %% [markdown]
# ### Figure 4: training curves
#
# (By recollection.) Each network's own loss on its training batches: the standard one, and the robust one.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-training", "caption": "Loss on the training batches of the MNIST networks, a panel each, logarithmic axes (figure 4 of the paper, by recollection)."}}
show_drawing(drawn.training_curves(profile, store))

# %% tags=["remove-input"]
curve = drawn.of_item("wong2018/training-curves", "loss", profile, store).get("robust loss")
if curve is not None:
    subject = parse(curve.evaluation).subject
    defence, before = subject.defence, [parent.schedule.steps for parent in subject.lineage if parent != subject]
    grows = (
        f"its radius grows over the first {defence.ramp:.0%} of them"
        if defence.ramp
        else "its radius is the full one from the first"
    )
    since = (
        f", after {' and '.join(f'{steps:,}' for steps in before)} updates on other losses, which are not drawn"
        if before
        else ""
    )
    show_markdown(
        f"The robust curve is of {subject.schedule.steps:,} updates on bounds of the kind `{defence.method}`; {grows}{since}."
    )
show_item("wong2018/training-curves", profile, store)

# %% [markdown]
# (table-wong2018-table-1-mnist)=
# (table-wong2018-table-1-fashion-mnist)=
# (table-wong2018-table-1-har)=
# (table-wong2018-table-1-svhn)=
# ### Table 1: errors and bounds
#
# The first table has the paper's rows and columns. Those below it add columns of this book's, and repeat the paper's on the networks that have them all, so that a line compares numbers of the same networks. The paper's attacks and its ball are not cut to the inputs' range; cutting them, as one would today, gives the columns "clipped".
# A bound is the share of test points without a certificate: no attack inside the ball, known or not, can have a higher error.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-bracket", "caption": "From the clean error to the proven bound, a panel a recipe, each on a scale of its own. Hollow markers are the paper's. What an attack leaves open lies between PGD and the bound. A line without a filled marker was not measured on these networks."}}
show_drawing(drawn.bracket(profile, store))

# %% tags=["remove-input"]
show_item("wong2018/table-1", profile, store, keep=lambda row: row.published is not None)
compared = {row.column for row in rows_of("wong2018/table-1", profile, store)} - {"TEST ERROR"}
for name in (name for name in wong.PROBLEMS if name != "SVHN"):
    kept = [row for row in drawn.lines_of(compared, profile, store) if f"PROBLEM={name};" in row.label and row.column in compared]
    title = f"Error rates and robust bounds, more on {name}"
    show_rows(
        kept, name=f"table-wong2018-table-1-more-on-{name.lower()}", caption=f"Table 1 of the paper: {title}",
        fold=f"The numbers: {title} ({len(kept)})",
    )  # fmt: skip
show_statements("wong2018/table-1", profile, store)

# %% tags=["remove-input"]
MINE = "{{row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST={mark};ϵ=0.1|{column}}}"
standard_row, robust_row = (
    {column: MINE.format(mark=mark, column=column) for column in ("TEST ERROR", "PGD ERROR", "ROBUST ERROR BOUND")}
    for mark in "×✓"
)
show_markdown(
    filled(
        f"**Measured here, on MNIST.** PGD brings the standard networks to {standard_row['PGD ERROR']} error, and the bound stands at {standard_row['ROBUST ERROR BOUND']}; "
        f"for the robust ones it is {robust_row['PGD ERROR']} and {robust_row['ROBUST ERROR BOUND']}. On clean images "
        f"{standard_row['TEST ERROR']} error becomes {robust_row['TEST ERROR']}.",
        profile, store,
    )
)  # fmt: skip
show_markdown(
    "**How to read the published rows.** A bound of 100 % on a standard network is no evidence against it: the paper's own PGD leaves it at "
    f"{paper('MNIST', False, 'PGD ERROR')} error, and for the rest of the points nothing is known either way. In the robust rows attack and proof nearly meet, "
    f"{paper('MNIST', True, 'PGD ERROR')} and {paper('MNIST', True, 'ROBUST ERROR BOUND')}, and that narrow gap is the result. The price is paid on clean inputs: on MNIST "
    f"{paper('MNIST', False, 'TEST ERROR')} error becomes {paper('MNIST', True, 'TEST ERROR')}, on Fashion-MNIST {paper('FASHION-MNIST', False, 'TEST ERROR')} "
    f'becomes {paper("FASHION-MNIST", True, "TEST ERROR")}, which is more than the deck\'s "slightly higher test error".'
)

# %% tags=["remove-input"]
show_released(
    ["wong2018/table-1"], profile, store,
    "The last number in a cell of the robust rows, after a bar, is this code on the robust networks that the authors released, on every test point, with nothing trained here. "
    "It settles what the other numbers cannot: that this code computes the paper's bound, and that the published attacks are unclipped. On HAR the authors' code takes the mean of the "
    "errors of 59 batches, the last of which is smaller than 50 points, and so does the number.",
)  # fmt: skip

# %% [markdown]
# ### Why do the undefended rows differ?
#
# Not in the paper.

# %% tags=["remove-input"]
show_markdown(
    filled(
        "The paper's PGD causes {paper:wong2018-003} of errors on its standard MNIST network and {paper:wong2018-011} on that of Fashion-MNIST. Ours causes "
        "{row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=×;ϵ=0.1|PGD ERROR} and {row:wong2018/table-1/fashion-mnist:PROBLEM=FASHION-MNIST;ROBUST=×;ϵ=0.1|PGD ERROR}, at clean errors of "
        "{row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=×;ϵ=0.1|TEST ERROR} and {row:wong2018/table-1/fashion-mnist:PROBLEM=FASHION-MNIST;ROBUST=×;ϵ=0.1|TEST ERROR} "
        "where the paper has {paper:wong2018-001} and {paper:wong2018-009}.",
        profile, store,
    )
)  # fmt: skip

# %% [markdown]
# One explanation would be a network so
# sure of itself that its loss is flat: where the leading logit is 104 above all others, float32 rounds every other class's probability to zero, the gradient is zero in each pixel, and as $\sign(0) = 0$ neither
# FGSM nor PGD ever leaves the point. With longer training margins grow. The table counts such points, on networks trained by the recipe of Table 1 and, on Fashion-MNIST, where the paper's epochs are not known,
# for five times as long; beside it the points whose gradient only subnormal numbers can hold, which some processors round to zero, and those of the zero ones that the same PGD breaks in float64.

# %% tags=["remove-input"]
show_item("wong2018/vanishing-gradients", profile, store)
show_statements("wong2018/vanishing-gradients", profile, store)
show_markdown(
    filled(
        "**On MNIST**, at the paper's own 100 epochs, the gradient is zero on {row:wong2018/vanishing-gradients:MNIST, 100 epochs|gradient zero in float32} of the points, and without subnormal numbers on "
        "{row:wong2018/vanishing-gradients:MNIST, 100 epochs|gradient zero without subnormal numbers}. The paper's PGD causes {paper:wong2018-003} of errors and ours "
        "{row:wong2018/table-1/mnist:PROBLEM=MNIST;ROBUST=×;ϵ=0.1|PGD ERROR}; with subnormal numbers rounded to zero, on the same networks, ours causes {row:wong2018/vanishing-gradients:MNIST, 100 epochs|error under PGD without subnormal numbers}, "
        "and FGSM {row:wong2018/vanishing-gradients:MNIST, 100 epochs|error under FGSM without subnormal numbers} where the paper has {paper:wong2018-002}. The shares differ much from one training to the next: the README of the authors' repository, up to commit 0525830, has 94.1 % under PGD for an "
        "earlier network of this row. How their processors rounded is not known here, so this is a possible cause and not a proven one. Of all test points {row:wong2018/vanishing-gradients:MNIST, 100 epochs|zero in float32, broken by PGD in float64} have a zero gradient in float32 and are broken by the same PGD in float64: nothing but the rounding protects them.",
        profile, store,
    )
)  # fmt: skip
show_markdown(
    filled(
        "**On Fashion-MNIST**, whose epochs in the paper are not known, two lengths of training are compared. Training five times as long takes the share of zero gradients from {row:wong2018/vanishing-gradients:Fashion-MNIST, 20 epochs|gradient zero in float32} to "
        "{row:wong2018/vanishing-gradients:Fashion-MNIST, 100 epochs|gradient zero in float32}, and without subnormal numbers from "
        "{row:wong2018/vanishing-gradients:Fashion-MNIST, 20 epochs|gradient zero without subnormal numbers} to "
        "{row:wong2018/vanishing-gradients:Fashion-MNIST, 100 epochs|gradient zero without subnormal numbers}; in that arithmetic PGD then causes "
        "{row:wong2018/vanishing-gradients:Fashion-MNIST, 100 epochs|error under PGD without subnormal numbers} of errors and FGSM "
        "{row:wong2018/vanishing-gradients:Fashion-MNIST, 100 epochs|error under FGSM without subnormal numbers}, where the paper has {paper:wong2018-011} and {paper:wong2018-010}.",
        profile, store,
    )
)  # fmt: skip

# %% [markdown]
# ### What other bounds would have given
#
# The paper's bound, slopes that adapt {cite}`zhang2018crown`, at the same cost, and interval bounds {cite}`gowal2018`, which are far cheaper, each line on the same networks and points.

# %% tags=["remove-input"]
BOUNDS = ("ROBUST ERROR BOUND", "bound, slopes of CROWN", "bound, intervals", "bound, clipped")
for robust in (False, True):
    found = {row.column: row for row in drawn.lines_of(BOUNDS, profile, store) if row.label == line_of("MNIST", robust)}
    chosen = {found[column].profile for column in BOUNDS}
    if len(chosen) > 1 or None in chosen:
        show_markdown("*No networks have records of all four bounds yet.*")
        continue
    paper_bound, adaptive, intervals, cut = (
        cite_row("wong2018/table-1/mnist", line_of("MNIST", robust), column, *chosen, store) for column in BOUNDS
    )
    one = found[BOUNDS[0]]
    show_markdown(
        f"*{'Robust' if robust else 'Standard'} training* ({one.seeds} network{'s' * (one.seeds > 1)}, {one.n:,} points, {one.evidence}): the paper's bound leaves {paper_bound} uncertified, "
        f"slopes that adapt {adaptive}, intervals {intervals}; with the ball cut to $[0,1]$ the paper's bound leaves {cut}."
    )

# %% [markdown]
# ### Certified radius, point by point
#
# (Appendix, by recollection.) How far each test point is certified, found by the search of the authors' script. The radius holds for the predicted class, right or
# wrong; colour is the accuracy among neighbours in the order.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-radii", "caption": "Largest certified radius of each test point, sorted, coloured by accuracy."}}
show_drawing(drawn.certified_radii(profile, store))

# %% tags=["remove-input"]
show_statements("wong2018/certified-radius", profile, store)
show_item("wong2018/certified-radius", profile, store)

# %% [markdown]
# ### Units that cross zero
#
# (Appendix, by recollection.) Only units with $\ell < 0 < u$ loosen the bound. Training on the bound pushes units to one side of zero.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-units", "caption": "Share of units that cross zero in the ball, are always active, or always dead, layer by layer."}}
show_drawing(drawn.unstable_units(profile, store))

# %% tags=["remove-input"]
show_statements("wong2018/unstable-units", profile, store)
show_item("wong2018/unstable-units", profile, store)

# %% [markdown]
# ### Filters
#
# (Appendix, by recollection.) The term $\varepsilon \lVert \hat\nu_1 \rVert_1$ of {eq}`eq-dual` acts on the first layer like an $\ell_1$ penalty.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-filters", "caption": "First-layer filters of the robust MNIST network; grey is zero. Below each: its largest weight, in per cent of the largest of all."}}
show_drawing(drawn.filters(profile, store))

# %% tags=["remove-input"]
show_statements("wong2018/filters", profile, store)
show_item("wong2018/filters", profile, store)

# %% [markdown]
# ### Tightness with one hidden layer
#
# (Appendix, by recollection.) {numref}`fig-polytope-tightness` above has the same comparison on small digits.

# %% tags=["remove-input"]
show_item("wong2018/bound-tightness", profile, store)

# %% [markdown]
# ### Dual against linear program
#
# (After a script of the authors' repository.) With one hidden layer the bounds $\ell, u$ are exact, so what the dual loses here is due to its fixed slopes alone.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-polytope-program", "caption": "The dual bound, and the margin that PGD finds, less the linear program's optimum, MNIST networks with one hidden layer. The network's true margin lies between the dashed line and PGD."}}
show_drawing(drawn.dual_against_program(profile, store))

# %% tags=["remove-input"]
show_statements("wong2018/dual-vs-lp", profile, store)
show_item("wong2018/dual-vs-lp", profile, store)

# %% [markdown]
# ## What to make of it
#
# ### Paper against code
#
# - The published attacks leave the range of images. Clipping takes a part of the ball away; the columns in small letters say what that changes.
# - The ramp of $\varepsilon$ lasts half of the training; the author names the paper's "10 epochs" a misprint in the repository (issue 5).
# - With the repository's switches at their defaults the gradient does not flow through the activation bounds. Here it always does.
# - Epochs and first radius of Fashion-MNIST, HAR and SVHN are not known. Those rows can become *consistent*, never *reproduced*.
# - A network that starts at the full radius often stays at a constant output. The records list how each was started.

# %% [markdown]
# ### The statements of the slide deck, corrected
#
# - *"Outer maximization seeks the worst perturbation; inner minimization trains."* The other way round, see {eq}`eq-robust`.
# - *"Looser bounds allow greater adversarial freedom, making attacks easier."* A bound changes no attack. Under {numref}`fig-polytope-tightness` one network and one attack stand beside three bounds,
#   of which one proves nothing.
# - *"The robust error measures how many samples could still be attacked."* It counts those for which nothing is proven. An exact program may still clear some of them, as the last check under {numref}`fig-polytope-lp` shows.
# - *"Every real attack will be detected."* Every change of class inside the ball; see the section on detection.
# - *Regularisation "provides no provable guarantee".* A regulariser does not, but a network trained with one can be certified like any other; weight decay above is an example.

# %% [markdown]
# (answers-wong2018)=
# ### The deck's three questions
#
# *Why is the adversarial polytope non-convex?* *How does convex approximation help?* and *Why does tight bounding matter?* are answered above, each beside the figure that shows it: under
# {numref}`fig-polytope-sketch` the first two, under {numref}`fig-polytope-tightness` the third.

# %% tags=["remove-input"]
show_markdown(
    filled(
        "In one line each, with the records: the set bends wherever a unit changes its sign, which on the standard network "
        "{row:wong2018/unstable-units:standard|unstable units at eps 0.1} of the (point, unit) pairs do inside the ball; around it a linear function is minimised "
        "without search; and what the relaxation gives away decides how much is proven: all but "
        f"{robust_row['ROBUST ERROR BOUND']} of the test points when the network was trained on this bound, all but "
        f"{standard_row['ROBUST ERROR BOUND']} when it was not.",
        profile, store,
    )
)  # fmt: skip
show_markdown(
    "*What would change these answers:* exact answers for these networks. About the authors' MNIST and HAR networks, trained on the bound, an integer program was asked "
    "of every point that bounds and attacks leave open, and [the comparison](06_comparison.ipynb) has its answers; of a network that was not, it would search over most units' signs."
)
