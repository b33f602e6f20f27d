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
# # Across the papers
#
# Five papers, five networks, five sets of attacks: their tables cannot be laid side by side. This chapter does what none of them could. It trains one
# network on one data set under every defence, puts all of them under the same attacks and the same certificates, at one radius and on the same test
# points, and asks what the headline claims are worth today.
#
# Nothing here is in the papers; all of it is this book's own. [How to read a row](../book/how_to_read.md) explains intervals and protocols.

# %% tags=["parameters", "remove-input"]
profile = "best"
device = "cpu"
recompute = False

# %% tags=["remove-input"]
from robustlib.book.chapter import check_parameters, prepare

check_parameters(globals())

from robustlib.papers.comparison import released
from robustlib.papers.comparison import tables as comparison
from robustlib.papers.madry2018 import networks as madry
from robustlib.report.plots import brackets as bracket_figures
from robustlib.papers.comparison.display import show_aged, show_grand_table
from robustlib.papers.comparison.released_display import show_group_table, show_released_table, show_released_text
from robustlib.report.display import cite, cite_row, show_drawing, show_item, show_markdown, show_statements
from robustlib.report.join import rows
from robustlib.report.plots.records import record_of

store = prepare("comparison", profile, device, recompute=recompute)


lines = {(row.label, row.column): row for row in rows(comparison.ITEM, profile, store)}
paper_bound, better = "certified: slopes of the paper", "certified: slopes of CROWN"


def ours(name, column):
    """A number of the grand table that links to its record; all of a network's are of one profile."""
    return cite_row(comparison.ITEM, name, column, profile, store)


def value(name, column):
    """The number itself, or None."""
    return lines[name, column].value


# %% [markdown]
# ## One network, every defence
#
# The network is the small convolutional one of {cite:t}`wong2018` on MNIST, and the threat is theirs too: every pixel may move by $\varepsilon = 0.1$ and stays in
# $[0, 1]$. At this radius certificates still say something; at the $0.3$ of the chapters on [PGD training](04_madry.ipynb) and
# [TRADES](05_trades.ipynb) they would be empty for a network of this size. The eight defences:
#
# - *standard*: cross-entropy on clean images;
# - *FGSM training* and *PGD training*: each batch replaced by its adversarial examples {cite}`goodfellow2015,madry2018`;
# - *TRADES* at $1/\lambda = 6$ {cite}`zhang2019`;
# - *distilled* at $T = 100$ {cite}`papernot2016`, deployed at $T = 1$;
# - *certified, exact*: trained on the bound of {cite:t}`wong2018`;
# - *certified, projected*: trained on estimates of that bound from 50 random projections {cite}`wong2018scaling`. An estimate is no certificate: what the table says of
#   this network was computed with exact bounds, as for all the others;
# - *cascade*: the exactly certified network and a second one, trained on what the first leaves without a certificate {cite}`wong2018scaling`.
#
# Attacks and certificates bracket the truth. The share of points that are right *and stay right* everywhere in the ball is at most what the attacks leave,
# and at least what a certificate covers. A solver can ask for the truth itself: a mixed-integer program has one yes-or-no variable for each unit whose sign
# the bounds leave open, and no relaxation in it {cite}`tjeng2019`. It was asked about every point that attacks and bounds leave open of the two networks trained on a
# bound; after PGD training and TRADES about a few open points that are nearest to a proof; of the others about none. The mark *exact* below is what is then proven; where points stay undecided, a bar
# leads from it to what nothing broke.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-comparison", "caption": "Every defence on one network and one set of points at ε = 0.1: from clean accuracy (right) through noise, FGSM and PGD to the worst case of the whole suite, what a solver proves (with a bar up to what nothing broke, where it did not decide every point), and what at least one bound certifies. Of the cascade the strict rule's share is shown; no attack of the suite follows its answers."}}
panel = {name: comparison.suite(name) for name in comparison.NETWORKS if name != comparison.CASCADE}
show_drawing(
    bracket_figures.bracket(
        {"one small network on MNIST, ε = 0.1": panel | {comparison.CASCADE: comparison.cascade()}}, profile, store
    )
)

# %% [markdown]
# ### The grand table
#
# Clean accuracy, noise, FGSM and the worst case come from one run of the suite of attacks, each on the points that are still correct after those before it; PGD is run once more by itself, on all points, from one
# start and from several. The two exact lines are one measurement: PGD, then the four bounds, then the solver on what these leave open; undecided is what it was not asked about or did not settle.
# The four kinds of certificate, from cheap to dear: interval bounds {cite}`gowal2018`; one dual pass over interval bounds (hybrid); the dual with the fixed slopes of
# {cite:t}`wong2018`; and with slopes that adapt {cite}`zhang2018crown`. The last line counts the operations of the training and of all trainings that the network begins with,
# by a formula; seconds stand on the record pages.

# %% tags=["remove-input"]
show_grand_table(profile, store)

# %% tags=["remove-input"]
show_statements(comparison.ITEM, profile, store)


# %% tags=["remove-input"]
def line(name):
    return f"{ours(name, 'worst case')} in the worst case and {ours(name, paper_bound)} certified"


def told(name):
    """What the solver settled of one network, in sentences."""
    row = lines[name, "exact: proven"]
    record = record_of(comparison.exact(name), row.profile or profile, store)
    if record is None:
        return f"*{name}*: the solver's record is not there yet."
    facts = {metric: found.value for metric, found in record.metrics.items()}
    if not facts["asked"]:
        return f"Of *{name}* attacks and bounds left no point open to ask about: the exact share is {ours(name, 'exact: proven')}."
    asked = f"Of *{name}* it was asked about {facts['asked']:.0f} points, with {facts['switches']:.0f} open units each on average; it proved {facts['solved']:.0f} and broke {facts['broken']:.0f}"
    limits = f" ({facts['late']:.0f} ended by the clock)" if facts["late"] else ""
    if facts["undecided"]:
        return f"{asked}{limits}: {ours(name, 'exact: proven')} are proven, and {ours(name, 'exact: undecided')} stay undecided."
    return f"{asked}{limits}: no point is left open, and the exact share is {ours(name, 'exact: proven')}."


proven, attacked, distilled = (
    value(name, "worst case") for name in ("certified, exact", "PGD training", "distilled, T 100")
)
known = None not in (proven, attacked, distilled)
if known and proven >= attacked:
    order = (
        "At this radius, and with budgets of minutes, the network trained on a bound loses nothing to the one trained on attacks even where both are judged by attacks; "
        "and it can prove most of what it keeps."
    )
elif known:
    order = (
        "Judged by attacks, the network trained on attacks keeps more; of what it keeps, it can prove next to nothing."
    )
else:
    order = "The records that would decide the order are not all there yet."
by_pgd = value("distilled, T 100", "PGD-40")
if None in (by_pgd, distilled):
    hidden = "The records that would compare the two are not all there yet."
elif by_pgd > 2 * distilled:
    hidden = (
        "The attack that PGD training is made with sees a robust network where there is none, as in [the chapter on distillation](01_defensive_distillation.ipynb): with "
        "logits this large the derivative of the cross-entropy is rounded to zero. The suite's second loss, on differences of logits, is not so deceived."
    )
else:
    hidden = "On this network the derivative of the cross-entropy did not mislead PGD."
show_markdown(
    f"**Attacks against proofs.** PGD training: {line('PGD training')}. TRADES: {line('TRADES, 1/λ 6')}. Trained on the exact bound: {line('certified, exact')}; on estimates of it: "
    f"{line('certified, projected')}. {order} A network can be robust and yet have no certificate: the gap between the two numbers is the bound's, not the network's. "
    f"Slopes that adapt narrow it on the same weights: they certify {ours('PGD training', better)} after PGD training and {ours('TRADES, 1/λ 6', better)} after TRADES.\n\n"
    f"**The truth between them.** {told('certified, exact')} {told('certified, projected')} {told('TRADES, 1/λ 6')} {told('PGD training')} A proof by the solver is one up to "
    "its arithmetic, which is not exact: a point counts as proven where no margin up to a thousandth of a logit was found, a thousand times the solver's own tolerance. "
    "A counterexample needs no such trust: it was put through the network itself.\n\n"
    f"**Distillation.** {line('distilled, T 100')[0].upper() + line('distilled, T 100')[1:]}, where the undistilled network keeps {ours('standard', 'worst case')}. PGD of 40 "
    f"steps by itself leaves {ours('distilled, T 100', 'PGD-40')} of the distilled network and {ours('standard', 'PGD-40')} of the undistilled one, and more starts leave "
    f"{ours('distilled, T 100', 'PGD-40, 10 starts')} and {ours('standard', 'PGD-40, 10 starts')}. {hidden}\n\n"
    f"**FGSM training** keeps {ours('FGSM training', 'worst case')}. At $\\varepsilon = 0.3$ the same recipe left {cite(madry.worst_case('FGSM', 16), profile, store)} of a larger network "
    "([chapter on PGD training](04_madry.ipynb)): a single step is a fairer account of a small ball than of a large one."
)

# %% tags=["remove-input"]
counted = "counted by the authors' rule"
whole, first = lines[comparison.CASCADE, paper_bound], lines["certified, exact", paper_bound]
if not whole.values or whole.profile != first.profile:
    verdict = "Records of one profile that would compare the two are not there yet."
elif whole.value < first.value:
    verdict = "Under the strict rule it certifies less than its first stage alone: at this radius the second stage makes the proof worse, not better."
else:
    verdict = "Under the strict rule it certifies no less than its first stage alone."
show_markdown(
    f"**The cascade** is shown as it is. Its first stage certifies most points, so that the second one was trained on few and hard ones; it answers "
    f"{ours(comparison.CASCADE, 'answered by the second stage')} of the test points. The cascade is right on {ours(comparison.CASCADE, 'clean')} of the clean points. The authors' rule "
    f"counts {ours(comparison.CASCADE, counted)} as certified, the strict rule {ours(comparison.CASCADE, paper_bound)}; the first stage alone proves "
    f"{ours('certified, exact', paper_bound)}. {verdict} Of the points that the authors' rule counts, a search breaks "
    f"{ours(comparison.CASCADE, 'of those, broken by a search')}. [The ledger](../book/ledger.md) explains the two rules."
)

# %% [markdown]
# The differences of a point or two between neighbours are within the intervals, and each defence was trained once. The budgets are those of the [quick profile](../book/protocol.md), minutes each
# and not tuned for this table; only the orders of magnitude should be carried away.

# %% tags=["remove-input"]
show_item(comparison.ITEM, profile, store)

# %% [markdown]
# ## The bracket, for every network of the book
#
# The same line for each network that the whole suite was run on, whatever chapter it belongs to: by data set and radius, each named by its architecture, its defence and, where it is not 0, its seed.
# Clean accuracy, noise, FGSM, PGD, worst case, exact where a solver was asked, certified share: on the same points, this order cannot be inverted. A line that rose, or a point that is both certified and broken, would
# be a fault of this book and no finding, and `robustlib check` refuses it before a page is built ([protocol](../book/protocol.md)).

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-every-bracket", "caption": "Every network of the book under the whole suite, from clean inputs to the worst case, with certified shares where there are any."}}
show_drawing(bracket_figures.every_bracket(profile, store))

# %% [markdown]
# ## The networks that the authors released
#
# Each released network on its whole test set, at its own radius: clean accuracy, PGD of 20 steps, what no attack on record breaks, and what a certificate on record proves. Bounds are tried from cheap to dear on
# every point, and AutoAttack in full on every point that they and PGD leave open; a solver settles what is left where the networks are small enough. The ball is cut to the inputs' range, so that the papers'
# printed bounds, of balls that are not cut, hold in it too: hollow marks. The l2 network has none: its printed numbers are known at second hand. Where several seeds of ours were trained, each is shown. Of a cascade the first network is shown. TRADES' network was not trained to be certified: on
# every point intervals are tried, and a dual bound on a few, in smaller balls too. Its bracket has the first part of AutoAttack, APGD on the cross-entropy; the whole, which is
# hours of one core, stands in a column of its own, and beside the other attacks in [its chapter](05_trades.ipynb). A network without a record is left out.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-released-networks", "caption": "The authors' networks and ours of the same architecture, each on its whole test set: from clean accuracy (right) through PGD to what no attack on record breaks, and what a certificate proves. Hollow: what the paper's printed bound certifies. Between the last two lie the points that nothing here decides."}}
show_drawing(bracket_figures.settled_brackets(released.drawn(), profile, store))

# %% tags=["remove-input"]
show_released_table(profile, store)

# %% tags=["remove-input"]
show_released_text(profile, store)

# %% tags=["remove-input"]
show_group_table(profile, store)

# %% tags=["remove-input"]
show_item(released.ITEM, profile, store)

# %% [markdown]
# (how-the-claims-aged)=
# ## How the claims aged
#
# Each paper's headline claims: as published, as measured here for the same quantity, under the strongest attacks (or the strictest rule) that this book has, and what changed the claim since. Ours are
# measured on this book's networks, which are smaller or trained for less wherever the record says so; AutoAttack's numbers on the authors' own networks are quoted {cite}`croce2020`. Two
# columns say how the claim stands. *In the literature*: whether it held, was surpassed by better work, needs a qualification, or was broken; a judgement of ours on what others published. *In this book*:
# the verdict on the authors' own network where that quantity is measured on it, and otherwise on our number; *stand-in only* means that our network is too small, or its training too
# short, to judge the claim, whatever the literature says. The numbers of a cell are of one profile, so that they are of networks made alike.

# %% tags=["remove-input"]
show_aged(profile, store)

# %% [markdown]
# One pattern runs through the table. What was claimed of a *loss that an attack maximises* held, with a little less than was printed. What was claimed of *one attack's failure* did not hold. And what
# was claimed of a *proof* holds for as long as one says of what: of a network it was true, of several networks that answer in turn it needs another proof.
