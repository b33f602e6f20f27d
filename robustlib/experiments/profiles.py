"""Profiles, and the reductions that turn a paper's own evaluation into the one that a profile runs.

``smoke``   scikit-learn's digits in place of every dataset, seconds on a CPU: proves that the code runs.
``quick``   the real datasets under a reduced protocol, at most 30 minutes a paper on two CPU cores.
``level``   quick's networks, or others of hours, where only their training is not the paper's, and its own evaluation:
            the whole test set, every step and restart, float32. Hours a paper; it is what a level can be judged on.
            Where the paper's network takes days, the largest that hours allow stands in for it.
``full``    the paper's own protocol; the largest networks under a scaled one, which their records say.

The reductions are data of each paper: ``REDUCTIONS`` in ``robustlib.papers.<id>.profiles``. No model, paper or dataset
is named here, and no profile elsewhere. A record lists its profile's changes, field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..budget import WHOLE, Budget, at_most
from ..data.registry import facts_of
from ..errors import RobustlibError, suggest
from ..parameters import BEST as BEST
from ..parameters import NAMES as NAMES
from ..spec.evaluation import Evaluation
from ..spec.keys import departures, is_recipe
from ..spec.network import Network


@dataclass(frozen=True)
class Profile:
    """A named way of running every paper's evaluations.

    Args:
        name: folder of its records.
        table_seeds: at most how many seeds of a table's cell it runs.
        figure_seeds: the same for a figure's cell.
        spread_seeds: the same for a cell that is about the spread between seeds.
        distribution_seeds: the same for a cell that shows all its seeds at once.
        scaled_seeds: the same for a table's or a figure's cell whose protocol is not the paper's.
        note: one line for readers.
        suffix: added to every title that shows its records.
        compared: it runs only what a checked published number is compared with, and what a version asks for by itself.
    """

    name: str
    table_seeds: int
    figure_seeds: int
    spread_seeds: int
    distribution_seeds: int
    scaled_seeds: int
    note: str
    suffix: str = ""
    compared: bool = False


_PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            table_seeds=1,
            figure_seeds=1,
            spread_seeds=1,
            distribution_seeds=2,
            scaled_seeds=2,
            note="digits stand-in: proves that the code runs, says nothing of the paper",
            suffix=" (digits stand-in)",
        ),
        Profile(
            name="quick",
            table_seeds=2,
            figure_seeds=1,
            spread_seeds=3,
            distribution_seeds=12,
            scaled_seeds=12,
            note="real data, reduced protocol, two CPU cores",
        ),
        Profile(
            name="level",
            table_seeds=3,
            figure_seeds=3,
            spread_seeds=3,
            distribution_seeds=12,
            scaled_seeds=3,
            note="the paper's network and evaluation, another recipe of training",
            compared=True,
        ),
        Profile(
            name="full",
            table_seeds=3,
            figure_seeds=3,
            spread_seeds=3,
            distribution_seeds=3,
            scaled_seeds=1,
            note="the paper's own protocol, scaled down for the largest networks",
        ),
    )
}

OWN_PROTOCOL = "full"
"""The profile of the papers' own protocols."""

LEVEL, REDUCED = "level", "quick"
"""The profile of the papers' own evaluations, and the one whose networks it takes."""

FAITHFUL_FIRST = (OWN_PROTOCOL, LEVEL, REDUCED)
"""Profiles whose records the published book shows, most faithful first. Stand-in data never appears there."""


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        RobustlibError: unknown, with the nearest name.
    """
    if name not in _PROFILES:
        raise RobustlibError(suggest("profile", name, _PROFILES))
    return _PROFILES[name]


def search_order(name: str) -> tuple[str, ...]:
    """Profiles whose records a page of profile ``name`` shows, most faithful first."""
    return FAITHFUL_FIRST if name == BEST else (profile(name).name,)


# Reductions ------------------------------------------------------------------------------------------------------

NetworkMap = Callable[[Network], Network]


def same(network: Network) -> Network:
    """The paper's own network."""
    return network


@dataclass(frozen=True)
class On:
    """A kind of evaluation; an empty field allows everything.

    Args:
        models: names of the subject's architecture.
        datasets: names of the subject's dataset.
        measurements: classes of the measurement.
        attacks: classes of the measurement's attack.
        settings: a condition on that attack's fields.
        among: the very evaluations.
        outside: evaluations that are not meant.
        also: a further condition on fields of the evaluation.
    """

    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    measurements: tuple[type, ...] = ()
    attacks: tuple[type, ...] = ()
    settings: Callable[[Any], bool] | None = None
    among: frozenset[Evaluation] = field(default=frozenset(), repr=False)
    outside: frozenset[Evaluation] = field(default=frozenset(), repr=False)
    also: Callable[[Evaluation], bool] | None = None

    def __call__(self, evaluation: Evaluation) -> bool:
        """True where the evaluation is of this kind."""
        subject, what = evaluation.subject, evaluation.measurement
        attack = getattr(what, "attack", None)
        return (
            (not self.models or subject.model.name in self.models)
            and (not self.datasets or subject.dataset in self.datasets)
            and (not self.measurements or type(what) in self.measurements)
            and (not self.attacks or type(attack) in self.attacks)
            and (self.settings is None or self.settings(attack))
            and (self.also is None or self.also(evaluation))
            and (not self.among or evaluation in self.among)
            and (not self.outside or evaluation not in self.outside)
        )


@dataclass(frozen=True)
class Version:
    """A profile's version of an evaluation: the network, the budget and the ball that replace the paper's.

    Args:
        network: the network that is trained in place of each of the evaluation's networks.
        budget: of the measurement.
        unless: evaluations of the kind that the profile leaves out all the same.
        threat: a function that replaces the measurement's ball, for stand-in data on another scale.
        uncompared: whether a profile that is ``compared`` runs it also where no checked number is published.
    """

    network: NetworkMap = same
    budget: Budget = WHOLE
    unless: Callable[[Evaluation], bool] | None = None
    threat: Callable[[Any], Any] | None = None
    uncompared: bool = False

    def __call__(self, evaluation: Evaluation) -> Evaluation | None:
        """The profile's version of a paper's evaluation, or None where the profile leaves it out."""
        if self.unless is not None and self.unless(evaluation):
            return None
        what: Any = evaluation.measurement.with_networks(self.network).within(self.budget)
        if self.threat is not None:
            what = replace(what, threat=self.threat(what.threat))
        n, points = evaluation.subset.n, self.budget.points
        subset = replace(evaluation.subset, n=n if points is None else at_most(points, n))
        return Evaluation(self.network(evaluation.subject), what, subset)


@dataclass(frozen=True)
class Reduction:
    """Each profile's version of one kind of a paper's evaluations; None: the profile leaves them out.

    Args:
        on: the kind.
        smoke, quick, full: the version under each profile.
        level: the version under the level profile, where hours make more of it than the paper's own evaluation of
            quick's networks; None: that evaluation, where quick's networks differ in their training alone.
    """

    on: On
    smoke: Version | None
    quick: Version | None
    full: Version | None = Version()
    level: Version | None = None


def reduction_of(evaluation: Evaluation, reductions: Sequence[Reduction]) -> Reduction | None:
    """The one reduction of a paper's that applies; None where it has none.

    Raises:
        RobustlibError: several apply.
    """
    found = [reduction for reduction in reductions if reduction.on(evaluation)]
    if len(found) > 1:
        kinds = "; ".join(str(reduction.on) for reduction in found)
        raise RobustlibError(
            f"{len(found)} reductions apply to {evaluation.name} of {evaluation.subject.name} ({kinds:.200}); "
            "make their conditions exclude each other in the paper's profiles.py"
        )
    return found[0] if found else None


def reduce(evaluation: Evaluation, profile: str, reductions: Sequence[Reduction]) -> Evaluation | None:
    """A profile's version of a paper's evaluation, or None where the profile leaves it out.

    An evaluation that no reduction is about, or of a released network, is run by the profile of the papers' own
    protocols alone, as it is.

    Args:
        evaluation: in the paper's own protocol.
        profile: one of :data:`NAMES`.
        reductions: the paper's.

    Raises:
        RobustlibError: several reductions apply.
    """
    found = None if evaluation.subject.defence.released else reduction_of(evaluation, reductions)
    if found is None:
        return evaluation if profile == OWN_PROTOCOL else None
    if profile == LEVEL:
        return _level(evaluation, found) if found.level is None else found.level(evaluation)
    version: Version | None = getattr(found, profile)
    return None if version is None else version(evaluation)


def _level(evaluation: Evaluation, found: Reduction) -> Evaluation | None:
    """The paper's own evaluation of quick's networks; None where they differ in more than their training."""
    version: Version | None = getattr(found, REDUCED)
    if version is None:
        return None
    made = replace(version, budget=WHOLE)(evaluation)
    changes = [] if made is None else departures(evaluation, made)
    return made if changes and all(map(is_recipe, changes)) else None


# Networks too large for the hardware -----------------------------------------------------------------------------

EPOCHS = 15
"""At most so many epochs of a scaled network's training."""


@dataclass(frozen=True)
class Scale:
    """Limits on a large network in the profile of the papers' own protocols.

    Args:
        widest: its width is at most this.
        cycle: whether its rate rises and falls once, in bfloat16; otherwise its own decay is kept, moved in proportion.
    """

    widest: int
    cycle: bool


def scaled(scales: Mapping[str, Scale]) -> NetworkMap:
    """A function from a network to itself or, where its architecture has a :class:`Scale`, to its scaled version."""

    def scale_down(full: Network) -> Network:
        scale = scales.get(full.model.name)
        if scale is None:
            return full
        plan = full.schedule
        steps = min(plan.steps, EPOCHS * -(-facts_of(full.dataset).n_train // plan.batch))
        if scale.cycle:
            plan = replace(plan, shape="one_cycle", precision="bfloat16", decay=())
        else:
            plan = replace(plan, decay=tuple((step * steps // plan.steps, factor) for step, factor in plan.decay))
        return replace(
            full,
            model=replace(full.model, width=min(full.model.width, scale.widest)),
            schedule=replace(plan, steps=steps),
            parents=tuple(map(scale_down, full.parents)),
            earlier=tuple(map(scale_down, full.earlier)),
        )

    return scale_down
