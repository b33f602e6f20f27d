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
# # The attacks
#
# An attack looks for a small change of an input that changes what a network predicts. The five papers of this book use about a
# dozen, readers today expect a few more, and all of them are in `robustlib.attacks`. This chapter shows each one at work on the same
# digit: what it minimises or maximises, how it searches, what it finds, and what that costs ([draw a digit](../book/demo.md) to attack one of your own). It then evaluates two networks in one
# call, and shows what the evaluation says of two defences that only look like ones.
#
# Everything here is computed while the page is made, on scikit-learn's $8 \times 8$ digits, in seconds. No number here says
# anything about a paper's network: those come from records, in the chapters that follow. The parameters below are every chapter's; here
# they change nothing.

# %% tags=["parameters", "remove-input"]
profile = "best"
device = "cpu"
recompute = False

# %% tags=["remove-input"]
from robustlib.book.chapter import check_parameters

check_parameters(globals())

from itertools import pairwise

import torch
from IPython.display import display

from robustlib.attacks import (
    apgd, auto_attack, boundary, carlini_wagner, deepfool, fab, fgsm, jsma, lbfgs, mi_fgsm, pgd, square, uniform_noise,
)  # fmt: skip
from robustlib.data import load
from robustlib.data.dataset import Split
from robustlib.evaluate import evaluate, standard
from robustlib.evaluate.counting import counted
from robustlib.models import ModelSpec, build
from robustlib.report.plots import attacks as drawn
from robustlib.report.plots import style
from robustlib.report.published_tables import both_forms
from robustlib.threat import L2Ball, LinfBall
from robustlib.training import PgdTraining, Schedule, Standard, fit


def show_table(heads, lines, *, name, caption, note=""):
    """A numbered table in the book, an HTML one for other readers."""
    markdown, page = both_forms(heads, lines, name=name, caption=caption, note=note)
    display({"text/markdown": markdown, "text/html": page, "text/plain": caption}, raw=True)


def say(verdicts):
    """Statements and whether they hold here."""
    print("\n".join(f"{'yes' if holds else 'no':4}{text}" for text, holds in verdicts.items()))


# %% [markdown]
# ## Five kinds of problem
#
# Let $z(x)$ be the logits of a network at $x \in [0,1]^d$, $y$ the label, $L$ the cross-entropy, and
#
# $$ m(x) = z_y(x) - \max_{i \ne y} z_i(x) $$ (eq-attacks-margin)
#
# the *margin*, which is negative exactly where the network is wrong. Every attack makes $m$ negative. They differ in what they hold
# fixed, what they then minimise, and what they may know:
#
# | fixed | what moves | known | attacks |
# |---|---|---|---|
# | 1. the budget, $\lVert\delta\rVert \le \varepsilon$ | a loss, up | gradients | FGSM, PGD, MI-FGSM, APGD |
# | 2. the class, $m < 0$ | $\lVert\delta\rVert_2$ or $\lVert\delta\rVert_\infty$, down | gradients | DeepFool, C&W, FAB, L-BFGS |
# | 3. the class | the number of features, down | gradients | JSMA |
# | 4. the budget | $m$, down | scores | Square |
# | 5. the class | $\lVert\delta\rVert_2$, down | decisions | boundary attack |
#
# The first and the fourth kind answer with yes or no at one radius, the others with a distance, from which the answer at any radius
# follows. All of them only ever find an *upper bound* on robustness: a failed attack proves nothing.

# %% [markdown]
# ## Two networks and a digit
#
# Two small networks of the same family, one trained on clean digits, one on PGD examples at $\varepsilon = 0.2$ (as in the chapter
# on [Madry et al.](04_madry.ipynb)). Pictures and costs below are those of attacks on the second, which gives them
# something to do.

# %%
digits = load("digits")
linf, l2 = LinfBall(0.2), L2Ball(0.8)
schedule = Schedule(steps=250, batch=64, lr=5e-3, shape="one_cycle")
networks = {}
for name, defence in {
    "natural": Standard(),
    "PGD-trained": PgdTraining(
        linf, steps=4, step_size=0.1, eps_warmup=0.2
    ),
}.items():
    networks[name] = build(
        ModelSpec("madry_cnn", width=4, init="kaiming_uniform"),
        input_shape=(1, 8, 8),
        classes=10,
        generator=torch.Generator().manual_seed(0),
    )
    rows = torch.arange(len(digits.train))
    fit(networks[name], digits.train, rows, defence, schedule, seed=0)
natural, model = networks.values()

# %% tags=["remove-input"]
def g(seed=1):
    """A fresh generator: every attack below draws from one of its own."""
    return torch.Generator().manual_seed(seed)


def correct(net, points, labels):
    with torch.no_grad():
        return net(points).argmax(1) == labels


images, labels = digits.test.images(), digits.test.y
both = (correct(natural, images, labels) & correct(model, images, labels)).nonzero().flatten()[:120]
x, y = images[both], labels[both]
# The digit of the pictures: noise and one step leave it, twenty steps do not, from any of four starts. If there is none, the first.
stands = correct(model, uniform_noise(model, x, y, linf, generator=g()), y) & correct(model, fgsm(model, x, y, linf), y)
falls = torch.stack([
    ~correct(model, pgd(model, x, y, linf, steps=20, step_size=0.025, generator=g(seed)), y) for seed in range(4)
]).all(0)  # fmt: skip
first = int((stands & falls).float().argmax())
order = torch.cat([torch.tensor([first]), torch.tensor([i for i in range(len(x)) if i != first])])[:40]
x, y = x[order], y[order]
with torch.no_grad():
    # The class to aim at, where one is needed: the most likely wrong one.
    target = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)

measured = {}


def show_attacks(calls, alt):
    """Run each attack on the digits, file what it cost and did, and draw what it did to the first."""
    cards = []
    for name, call in calls.items():
        with counted(model, natural) as cost:
            found = call(x, y)
        change = (found - x).flatten(1)
        lost = ~correct(model, found, y)
        lengths = {"l0": (change.abs() > 1e-6).sum(1).float(), "l2": change.norm(dim=1), "linf": change.abs().amax(1)}
        measured[name] = (cost.forwards / len(x), cost.backwards / len(x), lost, lengths)
        cards.append(drawn.card(name, model, x[:1], found[:1], y[:1]))
    style.show(drawn.attack_cards(cards), alt=alt)


# %% [markdown]
# In each picture: the digit, the perturbation, the attacked digit. The perturbation is drawn on a scale of its own, grey for no change,
# black and white for its largest entry; its norms stand below. "predicted" is the class that the network gives of the attacked
# digit, "margin" is {eq}`eq-attacks-margin` there, negative and coloured when the attack succeeded. Each cell shows the call that made the
# picture, `g()` being a fresh `torch.Generator`.

# %% [markdown]
# ## 1. The budget is fixed: raise a loss
#
# $$ \max_{\delta \in \mathcal{S}} L(x + \delta, y) $$
#
# over the allowed perturbations $\mathcal{S} = \{\delta : \lVert\delta\rVert \le \varepsilon,\ x + \delta \in [0,1]^d\}$.
#
# ### One step or none
#
# **Noise** takes a point of the ball, unseen. It is no attack but the measure of one: what it breaks was not robust to anything.
#
# $$ x' = x + \delta, \qquad \delta \sim U(\mathcal{S}) $$
#
# **FGSM** {cite}`goodfellow2015` goes all the way along the sign of the gradient, exact if the loss were linear.
#
# $$ x' = x + \varepsilon \sign \nabla_x L(x, y) $$
#
# **FGSM with a random step** {cite}`tramer2018` first leaves the point, where a network may hide its slope, and spends the rest of the
# budget there.
#
# $$
# \begin{aligned}
# \tilde{x} &= x + u, \quad u \sim U([-\alpha, \alpha]^d) \\
# x' &= \tilde{x} + (\varepsilon - \alpha) \sign \nabla_x L(\tilde{x}, y)
# \end{aligned}
# $$
#
# **Transfer** is any attack that follows the gradients of *another* network $\tilde{z}$, which an adversary without the weights can
# train; here PGD on the natural network.
#
# $$ \max_{\delta \in \mathcal{S}} \tilde{L}(x + \delta, y) $$

# %%
one_step = {
    "noise": lambda x, y: uniform_noise(model, x, y, linf, generator=g()),
    "FGSM": lambda x, y: fgsm(model, x, y, linf),
    "FGSM, random step": lambda x, y: fgsm(
        model, x, y, linf, random_step=0.1, generator=g()
    ),
    "transfer (PGD)": lambda x, y: pgd(
        model, x, y, linf, steps=20, step_size=0.025,
        generator=g(), surrogate=natural,
    ),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-one-step", "caption": "At most one step on the network's own gradient."}}
show_attacks(
    one_step,
    "Four cards with a digit, a perturbation and the attacked digit: noise, FGSM, FGSM with a random step, and PGD made on another network.",
)

# %% [markdown]
# ### Many small steps
#
# **PGD** {cite}`madry2018` takes many, each followed by a projection onto the ball, from a random start; with restarts the best of several.
#
# $$ x^{t+1} = \Proj_{x + \mathcal{S}} \big( x^t + \alpha \sign \nabla_x L(x^t, y) \big) $$
#
# **On the margin**, as in the rows "CW" and "CW+" of Madry et al., the same steps raise a loss that does not saturate with the
# softmax; it asks the other class to lead by $\kappa$ logits, and $\kappa = 50$ asks for more than there is to have.
#
# $$ \max_{\delta \in \mathcal{S}} -\big( m(x + \delta) + \kappa \big)^+ $$
#
# **Targeted**, it descends on the cross-entropy of a class $t$; here the most likely wrong one.
#
# $$ \min_{\delta \in \mathcal{S}} L(x + \delta, t) $$
#
# **In $\ell_2$** the step follows the gradient itself, at unit length, and the projection shortens.
#
# $$ x^{t+1} = \Proj_{x + \mathcal{S}} \big( x^t + \alpha \nabla_x L / \lVert\nabla_x L\rVert_2 \big) $$
#
# **MI-FGSM** ([Dong et al. 2018](https://arxiv.org/abs/1710.06081), eqs. 6 and 7) starts at $x$ and follows a running sum of
# gradients, which carries it over narrow bumps and transfers better.
#
# $$
# \begin{aligned}
# g^{t+1} &= \mu g^t + \nabla_x L / \lVert\nabla_x L\rVert_1 \\
# x^{t+1} &= \Proj_{x + \mathcal{S}} \big( x^t + \alpha \sign g^{t+1} \big)
# \end{aligned}
# $$

# %%
steps = {"steps": 20, "step_size": 0.025}
many_steps = {
    "PGD": lambda x, y: pgd(model, x, y, linf, **steps, generator=g()),
    "PGD, margin, κ = 0": lambda x, y: pgd(
        model, x, y, linf, **steps, loss="margin", generator=g()
    ),
    "PGD, margin, κ = 50": lambda x, y: pgd(
        model, x, y, linf, **steps, loss="margin", kappa=50, generator=g()
    ),
    "PGD, targeted": lambda x, y: pgd(
        model, x, y, linf, **steps, target=target, generator=g()
    ),
    "PGD in ℓ₂": lambda x, y: pgd(
        model, x, y, l2, steps=20, step_size=0.1, generator=g()
    ),
    "MI-FGSM": lambda x, y: mi_fgsm(model, x, y, linf, steps=20),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-many-steps", "caption": "Twenty steps, on several losses."}}
show_attacks(
    many_steps,
    "Six cards: PGD on the cross-entropy, on the margin with two values of kappa, towards a class, in the Euclidean norm, and MI-FGSM. "
    "The perturbation in the Euclidean norm is uneven, the others are near the budget in most pixels.",
)

# %% [markdown]
# ### Steps that choose their own length
#
# **APGD** {cite}`croce2020` starts with steps of $2\varepsilon$, and halves them and returns to the best point whenever they stop
# paying, with momentum $\alpha = 0.75$ (its eq. 2).
#
# $$
# \begin{aligned}
# z^{t+1} &= \Proj_{x + \mathcal{S}} \big( x^t + \eta^t \sign \nabla_x L(x^t, y) \big) \\
# x^{t+1} &= \Proj_{x + \mathcal{S}} \big( x^t + \alpha (z^{t+1} - x^t) + (1 - \alpha)(x^t - x^{t-1}) \big)
# \end{aligned}
# $$
#
# **On the DLR loss** (eq. 6, logits sorted as $z_{\pi_1} \ge z_{\pi_2} \ge \dots$) it is indifferent to the logits' scale, so
# that a network gains nothing by large ones.
#
# $$ \mathrm{DLR}(x, y) = -\frac{z_y - \max_{i \ne y} z_i}{z_{\pi_1} - z_{\pi_3}} $$
#
# **On the targeted DLR loss** (eq. 7) one run for each of the most likely wrong classes $t$.
#
# $$ \mathrm{DLR}(x, y, t) = -\frac{z_y - z_t}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4})/2} $$
#
# **AutoAttack** is APGD on the cross-entropy, then the targeted DLR loss, then FAB, then Square, each on what the others left.
#
# $$ \min_{a \in A} \mathbf{1}\big[m(a(x)) > 0\big], \qquad A = \{\text{APGD}_L,\ \text{APGD}_{\mathrm{DLR}, t},\ \text{FAB}_t,\ \text{Square}\} $$

# %%
own_length = {
    "APGD": lambda x, y: apgd(model, x, y, linf, steps=20, generator=g()),
    "APGD, DLR": lambda x, y: apgd(
        model, x, y, linf, steps=20, loss="dlr", generator=g()
    ),
    "APGD, targeted DLR": lambda x, y: apgd(
        model, x, y, linf, steps=20, target_classes=3, generator=g()
    ),
    "AutoAttack": lambda x, y: auto_attack(
        model, x, y, linf, steps=20, queries=200, target_classes=3,
        generator=g(),
    ),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-own-length", "caption": "APGD on three losses, and AutoAttack, which ends with the first of its four that succeeds."}}
show_attacks(own_length, "Four cards: APGD on the cross-entropy, on the DLR loss, on the targeted DLR loss, and AutoAttack.")

# %% [markdown]
# ## 2. The misclassification is fixed: shrink a norm
#
# $$ \min_{x + \delta \in [0,1]^d} \lVert\delta\rVert \quad \text{such that} \quad m(x + \delta) < 0 $$
#
# **DeepFool** ([Moosavi-Dezfooli et al. 2016](https://arxiv.org/abs/1511.04599), eqs. 8 to 11) takes the network for linear, steps to the
# nearest boundary, and does so again until the class changes ($q = 2$ for $\ell_2$, $q = 1$ for $\ell_\infty$).
#
# $$
# \begin{aligned}
# l &= \operatorname*{arg\,min}_{k \ne y} |z_k - z_y| \,/\, \lVert w_k\rVert_q, \quad w_k = \nabla z_k - \nabla z_y \\
# r &= |z_l - z_y| \,/\, \lVert w_l\rVert_q^q \cdot |w_l|^{q-1} \sign w_l
# \end{aligned}
# $$
#
# **Carlini and Wagner** {cite}`carlini2017` put the constraint into the objective and search for the smallest $c$ that
# still breaks the point; the search here adapts $c$ after every step.
#
# $$
# \begin{aligned}
# \ell_2: & \quad \min_\delta \lVert\delta\rVert_2^2 + c\, \max\!\big(m(x + \delta), -\kappa\big) \\
# \ell_\infty: & \quad \min_\delta {\textstyle\sum_i} (|\delta_i| - \tau)^+ + c\, \max\!\big(m(x + \delta), -\kappa\big)
# \end{aligned}
# $$
#
# **FAB** ([Croce and Hein 2020](https://arxiv.org/abs/1907.02044)) projects onto the linearised boundary as DeepFool does, but within the
# domain and with a pull towards $x$, and goes on from closer by after each success.
#
# $$ x^{t+1} = (1 - \alpha) \big( x^t + \eta\, d(x^t) \big) + \alpha \big( x + \eta\, d(x) \big) $$
#
# where $d(u)$ is the shortest step from $u$ onto the plane on which the linearised $z_t$ and $z_y$ are equal, $\alpha \le 0.1$, and $\eta = 1.05$ overshoots a little.
#
# **L-BFGS** ([Szegedy et al. 2014](https://arxiv.org/abs/1312.6199), section 4.1) is the oldest of them all: a quasi-Newton method minimises
# distance and cross-entropy of a class $t$ together, for the largest weight $c$ of the distance that still gives class $t$. (The paper prints "the minimum $c > 0$". With $c$ in front of the
# distance a small one lets $\delta$ grow, so that the minimum is taken for a misprint here.)
#
# $$ \min_{x + \delta \in [0,1]^d} c\, \lVert\delta\rVert_2^2 + L(x + \delta, t) $$

# %%
smallest = {
    "DeepFool ℓ₂": lambda x, y: deepfool(model, x, y, norm="l2"),
    "DeepFool ℓ∞": lambda x, y: deepfool(model, x, y, norm="linf"),
    "C&W ℓ₂": lambda x, y: carlini_wagner(model, x, y, norm="l2"),
    "C&W ℓ∞": lambda x, y: carlini_wagner(model, x, y, norm="linf"),
    "FAB ℓ₂": lambda x, y: fab(
        model, x, y, norm="l2", steps=20, target_classes=3
    ),
    "FAB ℓ∞": lambda x, y: fab(
        model, x, y, norm="linf", steps=20, target_classes=3
    ),
    "L-BFGS": lambda x, y: lbfgs(
        model, x, y, steps=20, binary_steps=6
    ),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-smallest", "caption": "The nearest point of another class, as each attack finds it. The margin is just below zero: none goes further than it must."}}
show_attacks(
    smallest,
    "Cards of DeepFool, Carlini and Wagner, and FAB in two norms, and of L-BFGS. In the Euclidean norm a few pixels carry the change; in the maximum norm "
    "nearly all change by the same amount.",
)

# %% [markdown]
# ## 3. Features are counted
#
# **JSMA** ([Papernot et al. 2016](https://arxiv.org/abs/1511.07528), algorithms 2 and 3) sets two features at a time to their
# largest value: the pair that most helps the target class $t$ and most hurts the others together.
#
# $$ \max_{p \ne q} -(\alpha_p + \alpha_q)(\beta_p + \beta_q), \qquad \alpha_p + \alpha_q > 0 > \beta_p + \beta_q $$
#
# where $\alpha_p = \partial F_t / \partial x_p$ and $\beta_p = \sum_{j \ne t} \partial F_j / \partial x_p$.
#
# With $F$ the **softmax outputs**, as on the distilled networks {cite}`papernot2016`, $\beta = -\alpha$, and a saturated
# softmax leaves no pair to choose: the attack gives up, and the network looks robust {cite}`carlini2016`. With $F = z$ the **logits** saturation
# does not matter, but the pair must lower the sum of all other logits, and where none does the attack gives up as well. Which version is the
# stronger one depends on the network ({numref}`table-attacks-cost` has it for this one).

# %%
few_features = {
    "JSMA, softmax": lambda x, y: jsma(
        model, x, y, target=target, features=16
    ),
    "JSMA, logits": lambda x, y: jsma(
        model, x, y, target=target, features=16, outputs="logits"
    ),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-features", "caption": "Few pixels, changed fully, towards the most likely wrong class. A failed attempt returns the digit as it was."}}
show_attacks(few_features, "Two cards, JSMA on softmax outputs and on logits: a few pixels turned to white.")

# %% [markdown]
# ## 4. Scores only
#
# **Square** ([Andriushchenko et al. 2020](https://arxiv.org/abs/1912.00049)) redraws a random window of the perturbation at the edge of the
# ball, keeps it where the margin falls, and makes the windows smaller as it goes. No gradient can mislead it.
#
# $$ \delta \leftarrow \begin{cases} \delta' & \text{if } m(x + \delta') < m(x + \delta) \\ \delta & \text{otherwise} \end{cases} $$
#
# ## 5. Decisions only
#
# **The boundary attack** {cite}`brendel2018` starts at a point of another class and walks along the boundary towards $x$: a random step
# $\eta$ sideways, a small one inwards, both taken back where the class would be right again. One step tries up to 25 directions.
#
# $$
# \begin{aligned}
# \min_{x'} & \ \lVert x' - x\rVert_2 \quad \text{such that} \quad m(x') < 0 \\
# x' & \leftarrow x + (1 - \epsilon)(x' + \eta - x), \quad \lVert x' + \eta - x\rVert_2 = \lVert x' - x\rVert_2
# \end{aligned}
# $$

# %%
no_gradients = {
    "Square ℓ∞": lambda x, y: square(
        model, x, y, linf, queries=500, generator=g()
    ),
    "Square ℓ₂": lambda x, y: square(
        model, x, y, l2, queries=500, generator=g()
    ),
    "boundary ℓ₂": lambda x, y: boundary(
        model, x, y, norm="l2", steps=500, generator=g()
    ),
    "boundary ℓ∞": lambda x, y: boundary(
        model, x, y, norm="linf", steps=500, generator=g()
    ),
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-blind", "caption": "Attacks that see no gradient. The maximum-norm form of the boundary attack is this library's."}}
show_attacks(no_gradients, "Four cards: the Square attack and the boundary attack, each in two norms.")

# %% [markdown]
# ## What each costs, and does
#
# Forward and backward passes through the networks per digit, counted while the pictures above were made, on the same digits. An attack that
# stops at its first success costs less on a weaker network. Broken: the share of digits that end misclassified. Lengths are
# means over those; only within one kind of problem do they compare.

# %% tags=["remove-input", "nbval-ignore-output"]
lines = []
for name, (forwards, backwards, lost, lengths) in measured.items():
    means = {norm: float(values[lost].mean()) if lost.any() else float("nan") for norm, values in lengths.items()}
    shown = [f"{means['l0']:.0f}", f"{means['l2']:.2f}", f"{means['linf']:.2f}"] if lost.any() else ["–"] * 3
    lines.append([name, f"{forwards:.0f}", f"{backwards:.0f}", f"{float(lost.double().mean()):.0%}".replace("%", " %"), *shown])
show_table(
    ["attack", "forwards", "backwards", "broken", "ℓ₀", "ℓ₂", "ℓ∞"], lines, name="table-attacks-cost",
    caption=f"Cost per digit and outcome of each attack on the PGD-trained network, {len(x)} digits that both networks classify. "
    f"Budgets: {linf.eps} in ℓ∞, {l2.eps} in ℓ₂; attacks of sections 2, 3 and 5 have none.",
)  # fmt: skip

# %% [markdown]
# What of it holds on any machine:

# %% tags=["remove-input"]
def broken(name):
    return float(measured[name][2].double().mean())


def longest(name, norm):
    lost, lengths = measured[name][2:]
    return float(lengths[norm][lost].mean())


nearest = tuple(smallest)
say({
    "noise breaks under 15 % of the digits": broken("noise") < 0.15,
    "noise breaks fewer than FGSM, FGSM no more than PGD (+ 10 points)": broken("noise") < broken("FGSM") <= broken("PGD") + 0.1,
    "transfer breaks no more than PGD (+ 5 points)":
        broken("transfer (PGD)") <= broken("PGD") + 0.05,
    "AutoAttack breaks no fewer than PGD": broken("AutoAttack") >= broken("PGD") - 0.01,
    "attacks of section 2 break over 95 %": all(broken(name) > 0.95 for name in nearest),
    "in ℓ₂, FAB and C&W end no further out than DeepFool (+ 0.05)":
        max(longest("FAB ℓ₂", "l2"), longest("C&W ℓ₂", "l2")) < longest("DeepFool ℓ₂", "l2") + 0.05,
    "each boundary attack is the shorter one in its own norm":
        longest("boundary ℓ₂", "l2") < longest("boundary ℓ∞", "l2")
        and longest("boundary ℓ∞", "linf") < longest("boundary ℓ₂", "linf"),
    "backward passes: FGSM 1, PGD 20, Square and boundary 0":
        [measured[name][1] for name in ("FGSM", "PGD", "Square ℓ∞", "boundary ℓ₂")] == [1, 20, 0, 0],
})  # fmt: skip

# %% [markdown]
# Passes are what an attack costs anywhere; seconds depend on who runs it. What the attacks take against the bare cost of their passes, and
# against three other libraries at equal budgets, on a real network, is in the repository's `benchmarks/`: its `README.md` says what is measured and
# how, and `make bench` measures it again. The main means: frozen parameters, broken points leave the batch, restarts
# go to survivors only, and where the processor is fast at it the search runs in bfloat16 while every verdict is float32.

# %% [markdown]
# ## As paths in the plane
#
# The same attacks on a network with two inputs. One class is a band, the other lies on both sides of it. Dots are points about which an attack
# asks the network, the star is what it returns, the dashed box is the budget of those that have one.

# %% tags=["remove-input"]
draw = g(0)
points = torch.rand(600, 2, generator=draw)
curve = 0.42 + 0.14 * torch.sin(2 * torch.pi * points[:, 0])
sides = ((points[:, 1] - curve).abs() > 0.08).long()
layers = [torch.nn.Linear(*pair) for pair in pairwise((2, 48, 48, 2))]
for layer in layers:
    torch.nn.init.kaiming_uniform_(layer.weight, generator=draw)
    torch.nn.init.zeros_(layer.bias)
flat = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
fit(flat, Split(points, sides), torch.arange(600), Standard(), Schedule(steps=400, batch=100, lr=1e-2, shape="one_cycle"), seed=0)
flat.eval()

across, upwards = torch.linspace(0, 1, 161), torch.linspace(0.2, 1, 129)
mesh = torch.stack(torch.meshgrid(across, upwards, indexing="xy"), -1).reshape(-1, 2)
with torch.no_grad():
    scores = flat(mesh)
region = (across, upwards, (scores[:, 1] - scores[:, 0]).reshape(129, 161))
at, side, box = torch.tensor([[0.55, 0.66]]), torch.tensor([1]), LinfBall(0.3)


def path(call, seed=1):
    """Points that the network was asked about, and the one returned."""
    with drawn.recorded_inputs(flat) as seen:
        end = call(g(seed))
    return torch.cat([*(torch.as_tensor(one[:1]) for one in seen), end]).numpy()


paths = {
    "FGSM": [path(lambda g: fgsm(flat, at, side, box))],
    # The first point asked about is x itself, as a check of the call.
    "PGD, four starts": [
        path(lambda g: pgd(flat, at, side, box, steps=12, step_size=0.06, generator=g), seed)[1:] for seed in range(4)
    ],
    "APGD": [path(lambda g: apgd(flat, at, side, box, steps=20, loss="margin", generator=g))],
    "DeepFool": [path(lambda g: deepfool(flat, at, side))],
    "FAB": [path(lambda g: fab(flat, at, side, norm="l2", steps=12, target_classes=1))],
    "C&W": [path(lambda g: carlini_wagner(flat, at, side))],
    "Square": [path(lambda g: square(flat, at, side, box, queries=60, generator=g))],
    "boundary attack": [path(lambda g: boundary(flat, at, side, steps=120, generator=g))],
}

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-attacks-plane", "caption": "Eight attacks on one point. FGSM jumps over the band that it was sent towards; small steps end inside it. Attacks without a budget stop at the band's edge."}}
style.show(
    drawn.attack_paths(paths, region, start=at[0], eps=box.eps),
    alt="Eight panels with a band, a point above it and the path of an attack: FGSM in one jump to a corner of the box beyond the band; PGD from four "
    "starts into the band; APGD in jumps that get shorter; DeepFool, FAB and C&W to the band's edge; Square from corner to corner; the "
    "boundary attack from a far point of the band along its edge.",
)

# %% tags=["remove-input"]
ends = {name: torch.as_tensor(found[-1][-1:]) for name, found in paths.items()}
gone = {name: bool(~correct(flat, end, side)) for name, end in ends.items()}
say({
    "FGSM fails on this point": not gone["FGSM"],
    "DeepFool, FAB and the boundary attack succeed": gone["DeepFool"] and gone["FAB"] and gone["boundary attack"],
    "at least one start of PGD succeeds":
        any(bool(~correct(flat, torch.as_tensor(one[-1:]), side)) for one in paths["PGD, four starts"]),
})  # fmt: skip

# %% [markdown]
# ## Which paper uses which
#
# Settings as the papers state them, or as the authors' code has them where it says *code*. *Recalled* marks what could not be read in the
# source itself for this edition; it decides nothing.
#
# | paper | attack | settings |
# |---|---|---|
# | {cite:t}`papernot2016` | JSMA, towards each of the 9 other classes | on softmax outputs; a feature is set to 1 (MNIST) or 2 (CIFAR-10 as preprocessed); at most 112 features; 100 test images, so 900 attempts |
# | {cite:t}`wong2018` | FGSM | $\varepsilon$ = 0.1 (MNIST, Fashion-MNIST), 0.05 (HAR), 0.01 (SVHN); not cut to $[0,1]$ (*code*) |
# | | PGD | from $x$ itself, 100 steps of 0.01, no restarts, not cut to $[0,1]$ (*code*; for SVHN and HAR the step is not known) |
# | {cite:t}`wong2018scaling` | none in its main table | certificates only |
# | {cite:t}`madry2018` | FGSM | $\varepsilon$ = 0.3 (MNIST), 8/255 (CIFAR-10) |
# | | PGD | MNIST: 40 and 100 steps of 0.01, 1 and 20 restarts; CIFAR-10: 7 and 20 steps of 2/255 |
# | | PGD, targeted | MNIST, 40 steps; how the class is chosen is not stated, here each of the nine in turn |
# | | PGD on the margin | "CW": 40 steps (MNIST), 30 (CIFAR-10), $\kappa$ not stated, here 0; "CW+": $\kappa$ = 50 |
# | | FGSM with a random step | CIFAR-10 only, a small random step first |
# | | PGD in $\ell_2$ | 100 steps of $2.5\,\varepsilon/100$, normalised |
# | | boundary attack | MNIST, 2,000 steps; other settings not stated, here those of its reference implementation, up to 25 directions a step |
# | | transfer | FGSM, PGD and "CW" from an independent copy and another network; which of 20 restarts counts is not stated, here the one of highest loss on the source |
# | {cite:t}`zhang2019` | PGD, there called FGSM²⁰ and FGSM⁴⁰ | CIFAR-10: $\varepsilon$ = 0.031, 20 steps of 0.003; MNIST: $\varepsilon$ = 0.3, 40 steps of 0.01; one uniform start (*code*) |
# | | FGSM¹⁰⁰⁰ | steps of 0.003 and 0.01 (*recalled*) |
# | | DeepFool $\ell_\infty$ and $\ell_2$, C&W | CIFAR-10, foolbox with its default settings (the authors' issue tracker); MNIST: C&W at $\ell_2$ 0.005 |
# | | L-BFGS, MI-FGSM | CIFAR-10, foolbox's defaults (*recalled*) |
# | | transfer | PGD with the steps above, made on the source network (*recalled*) |
#
# One trap in the last paper's table: DeepFool in $\ell_2$, C&W and L-BFGS make the $\ell_2$ norm small, and what they find is then held against an
# $\ell_\infty$ radius (that rule is *recalled*). Accuracy close to the clean one in those rows is a property of the comparison.

# %% [markdown]
# ## One call
#
# `evaluate` runs a suite, the cheapest attack first and each later one on the points that still stand, and returns what happened to each
# point, with cost, convergence and findings. The suite here is the standard one with fewer steps.

# %%
seen, told = images[:100], labels[:100]
suite = standard(linf, steps=20, queries=200, targets=3)
reports = {
    name: evaluate(net, seen, told, linf, suite)
    for name, net in networks.items()
}

# %% tags=["remove-input", "nbval-ignore-output"]
def percent(value):
    return f"{100 * value:.0f}"


def show_report(name, report):
    """The lines of a report."""
    def label(line):
        """The attack's type, and its loss where that is not the cross-entropy."""
        loss = "targeted DLR" if getattr(line.attack, "target_classes", 0) and line.name == "Apgd" else getattr(line.attack, "loss", "")
        return f"{line.name}, {loss}" if loss not in ("", "cross_entropy") else line.name

    slug = name.lower().replace(" ", "-")
    show_table(
        ["attack", "points", "accuracy, %", "95 % interval", "forwards", "backwards"],
        [
            [label(line), str(line.points), percent(line.accuracy), f"{percent(line.low)} to {percent(line.high)}",
             f"{line.cost.forwards:,}", f"{line.cost.backwards:,}"]
            for line in report.lines
        ],
        name=f"table-attacks-suite-{slug}",
        caption=f"The {name} network under the suite of attacks, {len(seen)} digits: points attacked, and points still correct after this attack and all before it.",
    )  # fmt: skip


for name, report in reports.items():
    show_report(name, report)

# %% [markdown]
# The last accuracy is the worst case, an upper bound on robust accuracy. Whether PGD had converged is asked separately, on the same points: accuracy
# for each number of steps and restarts.

# %% tags=["remove-input", "nbval-ignore-output"]
found = reports["PGD-trained"].convergence
more_steps, more_starts = (f"{100 * change:.0f}" for change in found.last_doubling)
show_table(
    ["steps", *(f"{n} start{'s' if n > 1 else ''}" for n in found.restarts)],
    [[str(n), *(percent(value) for value in row)] for n, row in zip(found.steps, found.accuracy, strict=True)],
    name="table-attacks-convergence",
    caption=f"Accuracy (%) of the PGD-trained network under PGD, {found.points} digits.",
    note=f"The last doubling of the steps took {more_steps} points, the last doubling of the starts {more_starts}.",
)

# %% tags=["remove-input"]
say({
    "the natural network keeps under 10 % in the worst case": float(reports["natural"].worst.double().mean()) < 0.1,
    "the PGD-trained one at least 15 points more":
        float((reports["PGD-trained"].worst.double() - reports["natural"].worst.double()).mean()) > 0.15,
    "no finding says that the PGD-trained one masks gradients": not reports["PGD-trained"].masked,
    "the last doublings took under 5 points each": max(found.last_doubling) < 0.05,
})  # fmt: skip

# %% [markdown]
# ## Two defences that are none
#
# An evaluation is worth what it says of a network that only *looks* robust. Two such are made of the natural network, without training.

# %%
class LargeLogits(torch.nn.Module):
    """Logits times 1,000: the softmax is saturated in float32."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return 1000 * self.net(x)


class Rounded(torch.nn.Module):
    """Pixels rounded to the digits' 16 levels: the slope is zero."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net((x * 16).round() / 16)


defences = {
    "large logits": LargeLogits(natural).eval(),
    "rounded inputs": Rounded(natural).eval(),
}
for name, net in defences.items():
    reports[name] = evaluate(
        net, seen, told, linf, suite, converge=False,
        sources={"natural": natural},
    )

# %% [markdown]
# Both classify clean digits as before, and cross-entropy gradients are of no use on either. First each attack by itself, then what the one
# call finds.

# %% tags=["remove-input", "nbval-ignore-output"]
alone = {
    "none": lambda net: seen,
    "noise": lambda net: uniform_noise(net, seen, told, linf, generator=g()),
    "FGSM": lambda net: fgsm(net, seen, told, linf),
    "PGD, cross-entropy": lambda net: pgd(net, seen, told, linf, **steps, generator=g()),
    "PGD, margin": lambda net: pgd(net, seen, told, linf, **steps, loss="margin", generator=g()),
    "APGD, DLR": lambda net: apgd(net, seen, told, linf, steps=20, loss="dlr", generator=g()),
    "Square": lambda net: square(net, seen, told, linf, queries=200, generator=g()),
    "transfer from natural": lambda net: pgd(net, seen, told, linf, **steps, generator=g(), surrogate=natural),
}
nets = {"natural": natural, **defences}
left = {
    (attack, name): float(correct(net, call(net), told).double().mean())
    for attack, call in alone.items() for name, net in nets.items()
}  # fmt: skip
show_table(
    ["attack alone", *nets],
    [[attack, *(percent(left[attack, name]) for name in nets)] for attack in alone],
    name="table-attacks-controls",
    caption=f"Accuracy (%) under each attack alone, {len(seen)} digits. The two right-hand networks are the left one in disguise.",
)

# %% tags=["remove-input", "nbval-ignore-output"]
show_table(
    ["network", "finding", "what was seen"],
    [
        [name, finding.name, finding.text]
        for name in defences for finding in reports[name].findings
    ],
    name="table-attacks-findings",
    caption="Findings of the one call on the two controls. Each of them says that gradients are masked."
    if all(finding.masking for name in defences for finding in reports[name].findings)
    else "Findings of the one call on the two controls.",
)  # fmt: skip

# %% tags=["remove-input"]
names = {name: {finding.name for finding in report.findings} for name, report in reports.items()}
say({
    "both controls are reported as masked": all(reports[name].masked for name in defences),
    "large logits: zero gradients are found": "zero gradients" in names["large logits"],
    "rounded inputs: zero gradients are found": "zero gradients" in names["rounded inputs"],
    "rounded inputs: Square beats gradients": "Square beats gradients" in names["rounded inputs"],
    "PGD on the cross-entropy leaves both over 80 %":
        all(left["PGD, cross-entropy", name] > 0.8 for name in defences),
    "APGD on the DLR loss leaves large logits under 10 %": left["APGD, DLR", "large logits"] < 0.1,
    "transfer leaves both under 15 %": all(left["transfer from natural", name] < 0.15 for name in defences),
    "Square takes over 30 points from both": all(left["Square", name] < left["none", name] - 0.3 for name in defences),
    "in the worst case both keep under 15 %":
        all(float(reports[name].worst.double().mean()) < 0.15 for name in defences),
})  # fmt: skip

# %% [markdown]
# The margin and the DLR loss undo large logits, which is why the suite of attacks contains them; it then needs no more. Against rounding no
# loss helps, since there is no slope; what helps is to do without (Square), or to take the slope of something similar (transfer, here from the very
# network behind the rounding). Defensive distillation is the first control with a temperature in place of the factor {cite}`carlini2016`; the second
# is what Athalye et al. {cite}`athalye2018` called shattered gradients.
