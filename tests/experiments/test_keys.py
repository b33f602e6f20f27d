"""Keys: frozen, indifferent to renames and to new fields with a default, moved by whatever moves numbers."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustlib import registry
from robustlib.attacks.suite import Boundary, Clean, Fgsm, Noise, Pgd
from robustlib.catalogue import plan
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.distances import Distances
from robustlib.evaluate.losses import LocalMaxima, LossTrace, TrainingCurve
from robustlib.evaluate.weights import FirstLayer
from robustlib.experiments import profiles
from robustlib.models import ModelSpec
from robustlib.papers.madry2018 import tables as paper
from robustlib.papers.papernot2016 import networks as papernot
from robustlib.papers.wong2018 import networks as wong2018_specs
from robustlib.papers.wong2018 import tables as wong
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import departures, describe, differences, key, parse
from robustlib.spec.network import Network
from robustlib.threat import FeatureBox, L2Ball, LinfBall
from robustlib.training import Distillation, FgsmTraining, PgdTraining, Schedule, Standard

FROZEN = json.loads((Path(__file__).parent / "frozen_keys.json").read_text())

SMALL = Network("digits", ModelSpec("madry_cnn", width=1), Standard(), Schedule(steps=20, batch=32, lr=2e-3))
TEACHER = replace(SMALL, seed=7, rows=(10, 900))
MADE: dict[str, Any] = {
    "madry2018 full: network A": paper.network(),
    "madry2018 full: network A', natural": paper.network("natural", seed=1),
    "madry2018 full: FGSM training at scale 4": paper.network("FGSM", scale=4),
    "madry2018 full: network B": paper.network("natural", model="architecture_b"),
    "madry2018 full: clean accuracy of A": paper.accuracy(paper.network(), Clean()),
    "madry2018 full: table 1, PGD 100/20, source A'": paper.accuracy(
        paper.network(), replace(paper.PGD_100, restarts=20), source=paper.source_of("A'", 0)
    ),
    "madry2018 full: table 1, PGD 100/20, source A' alone": paper.accuracy(
        paper.network(), paper.PGD_100_TRANSFER, source=paper.source_of("A'", 0)
    ),
    "madry2018 full: table 1, every target": paper.accuracy(paper.network(), paper.EACH_TARGET),
    "madry2018 full: loss during PGD, natural": paper.trace("natural"),
    "madry2018 full: local maxima, PGD": replace(
        paper.maxima("PGD"), measurement=replace(paper.maxima("PGD").measurement, edges=(0.0, 160.0, 320))
    ),
    "madry2018 full: local maxima in bins of their own, PGD": paper.maxima("PGD"),
    "madry2018 full: boundary attack in l_2, 25 directions": paper.distances("PGD", "l2"),
    "madry2018 full: training loss": Evaluation(paper.network(), TrainingCurve()),
    "papernot2016 full: network distilled at T = 100": papernot.student("mnist", 100),
    "papernot2016 full: undistilled network, CIFAR10": papernot.baseline("cifar10"),
    "papernot2016 full: attempts at T = 20": papernot.attempts(papernot.student("mnist", 20)),
    "papernot2016 full: attempts on logits, CIFAR10": papernot.on_logits("cifar10", "T=10"),
    "papernot2016 full: least features": papernot.minimal(papernot.baseline("mnist")),
    "papernot2016 full: outputs": papernot.outputs("mnist", "T=20"),
    "papernot2016 full: amplitudes": papernot.amplitudes("cifar10", "T=100"),
    "papernot2016 full: accuracy variation": papernot.variation("mnist", "T=5", 2),
    "wong2018 full: robust MNIST network": wong2018_specs.network("MNIST", robust=True),
    "wong2018 full: PGD on the standard HAR network": wong2018_specs.attacked(
        wong2018_specs.network("HAR", robust=False, seed=2), wong2018_specs.PGD, LinfBall(0.05, domain=None)
    ),
    "wong2018 full: bound with CROWN's slopes": wong2018_specs.bound(
        wong2018_specs.network("HAR", robust=True), LinfBall(0.05, domain=None), slopes="adaptive"
    ),
    "wong2018 full: certified radii": wong.radii("robust"),
    "wong2018 full: linear program": wong2018_specs.programmed(wong2018_specs.shallow(robust=True), 0.1),
    "wong2018 full: filters": Evaluation(wong2018_specs.network("MNIST", robust=True), FirstLayer()),
    "hand-made: three parents deep": replace(SMALL, parents=(TEACHER, replace(SMALL, parents=(TEACHER,)))),
    "hand-made: HAR without a domain": Evaluation(
        replace(SMALL, dataset="har"), Accuracy(Noise(), L2Ball(1.5, domain=None)), Subset(n=100, seed=3)
    ),
    "hand-made: FGSM with a random step on CIFAR-10": Evaluation(
        Network(
            "cifar10",
            ModelSpec("madry_cnn"),
            FgsmTraining(LinfBall("8/255"), eps_warmup=0.5),  # type: ignore[arg-type]
            Schedule(steps=7, batch=3, lr=0.1, shape="one_cycle", reduction="sum", precision="bfloat16"),
        ),
        Accuracy(Fgsm(random_step=0.01), LinfBall(8 / 255), source=SMALL, search="bfloat16"),
        Subset(split="train"),
    ),
    "hand-made: targeted PGD with a margin": Evaluation(
        replace(SMALL, defence=PgdTraining(L2Ball(2.0), steps=5, step_size=0.5, ramp=(1, 2, 3))),
        Accuracy(Pgd(steps=10, step_size=0.05, restarts=4, loss="margin", kappa=50.0, targeted=True), LinfBall(0.3)),
    ),
    "hand-made: own bins": Evaluation(SMALL, LocalMaxima(LinfBall(0.1), 3, 0.1, 9, edges=(0.0, 8.0, 16))),
    "hand-made: boundary attack, unclipped": Evaluation(
        SMALL, Distances(Boundary(steps=3, protocol=1), "linf", (0.0, 0.25), domain=None)
    ),
}

WHAT_TO_DO = """
The key of {name!r} is {now}; it was {key}. Records and weights filed under the old key would be lost.
- A new field: give it a default that means what was meant before.
- A renamed class: keep its old name as `tag: ClassVar[str] = "Old"`. A renamed field: field(metadata={{"key": "old"}}).
- A changed default: change it back; set the new value where specifications are made.
- Numbers did change: raise that component's `protocol`, and leave this file as it is.
frozen_keys.json only ever gains entries."""


@pytest.mark.parametrize("entry", FROZEN, ids=[entry["name"] for entry in FROZEN])
def test_a_frozen_key_stays(entry: dict[str, Any]) -> None:
    now = key(parse(entry["specification"]))
    assert now == entry["key"], WHAT_TO_DO.format(now=now, **entry)


def test_what_the_papers_module_makes_has_its_frozen_key() -> None:
    frozen = {entry["name"]: entry for entry in FROZEN}
    for name, specification in MADE.items():
        now = key(specification)
        assert now == frozen[name]["key"], WHAT_TO_DO.format(now=now, **frozen[name])


def test_twenty_different_keys_are_frozen() -> None:
    assert len({entry["key"] for entry in FROZEN}) == len(FROZEN) >= 20
    assert set(MADE) <= {entry["name"] for entry in FROZEN}
    assert all(len(entry["key"]) == 16 and int(entry["key"], 16) >= 0 for entry in FROZEN)


# What leaves a key alone ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WithMomentum(Pgd):
    """Pgd as a later version may have it: a new name, a new field."""

    tag: ClassVar[str] = "Pgd"
    momentum: float = 0.0
    schedule: tuple[float, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class RenamedField:
    """Boundary with ``steps`` called ``queries``."""

    tag: ClassVar[str] = "Boundary"
    queries: int = field(metadata={"key": "steps"})
    protocol: int = 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two classes above stand in for Pgd and Boundary."""
    monkeypatch.setattr(registry, "_MARKED", {*registry._MARKED, WithMomentum, RenamedField})
    monkeypatch.setattr(registry, "_CLASSES", {**registry._CLASSES, "Pgd": WithMomentum, "Boundary": RenamedField})


@pytest.mark.usefixtures("later")
def test_a_new_name_and_a_new_field_with_a_default_leave_the_key() -> None:
    old, new = Pgd(steps=40, step_size=0.01, restarts=2), WithMomentum(steps=40, step_size=0.01, restarts=2)
    assert key(old) == key(new)
    evaluation = Evaluation(SMALL, Accuracy(old, LinfBall(0.3)))
    assert key(evaluation) == key(Evaluation(SMALL, Accuracy(new, LinfBall(0.3))))
    assert key(old) != key(replace(new, momentum=0.9))
    # What was written before the field existed is read with its default.
    form = describe(old)
    assert form["type"] == "Pgd"
    assert "momentum" not in form
    assert parse(form) == new


@pytest.mark.usefixtures("later")
def test_a_renamed_field_keeps_its_key() -> None:
    assert key(RenamedField(queries=5)) == key(Boundary(steps=5, protocol=1))
    assert parse(describe(Boundary(steps=5, protocol=1))) == RenamedField(queries=5)


def test_a_default_written_out_is_a_default() -> None:
    assert key(Subset()) == key(Subset(n=None, split="test", seed=0))
    assert key(Schedule(5, 5, 0.1)) == key(Schedule(5, 5, 0.1, shape="constant", protocol=1))


def test_equal_values_have_one_key() -> None:
    attack = Pgd(steps=40, step_size=1.0, kappa=0.0)
    assert key(attack) == key(Pgd(steps=40, step_size=1, kappa=0))
    assert key(attack) == key(parse(json.loads(json.dumps(describe(attack)))))
    assert key(Distances(Boundary(1), "linf", (0.0, 1.0))) == key(Distances(Boundary(1), "linf", (0, 1), domain=(0, 1)))
    assert key(LinfBall(0.03125)) == key(LinfBall("8/256")) == key(LinfBall(np.float64(1 / 32)))  # type: ignore[arg-type]


# What moves it ------------------------------------------------------------------------------------------------


def components(value: Any) -> list[type]:
    if not dataclasses.is_dataclass(value):
        return [cls for item in value for cls in components(item)] if isinstance(value, tuple) else []
    fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
    return [type(value), *(cls for item in fields for cls in components(item))]


def has_protocol(cls: type) -> bool:
    return "protocol" in {field.name for field in dataclasses.fields(cls)}


def raised(value: Any, cls: type) -> Any:
    """The value with the protocol of every component of that class raised by one."""
    if isinstance(value, tuple):
        return tuple(raised(item, cls) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changes = {field.name: raised(getattr(value, field.name), cls) for field in dataclasses.fields(value)}
    if type(value) is cls:
        changes["protocol"] += 1
    return replace(value, **changes)


@pytest.mark.parametrize("name", list(MADE))
def test_a_raised_protocol_moves_the_key(name: str) -> None:
    specification = MADE[name]
    with_protocol = {cls for cls in components(specification) if has_protocol(cls)}
    assert with_protocol
    seen = {key(specification)}
    for cls in with_protocol:
        seen.add(key(raised(specification, cls)))
    assert len(seen) == 1 + len(with_protocol)


def test_every_measurable_component_has_a_protocol() -> None:
    without = {cls for cls in registry.subclasses(object) if not has_protocol(cls)}
    # These carry no procedure of their own: a ball is its definition, the rest only join components.
    assert without == {LinfBall, L2Ball, FeatureBox, Network, Subset, Evaluation}


def test_each_field_moves_the_key() -> None:
    base = Evaluation(SMALL, Accuracy(Pgd(5, 0.1), LinfBall(0.3)))
    others = [
        replace(base, subset=Subset(n=5)),
        replace(base, subset=Subset(n=5, seed=1)),
        replace(base, subset=Subset(n=5, split="train")),
        replace(base, subject=replace(SMALL, seed=1)),
        replace(base, subject=replace(SMALL, rows=(0, 5))),
        replace(base, subject=replace(SMALL, dataset="mnist")),
        replace(base, subject=replace(SMALL, parents=(TEACHER,))),
        replace(base, measurement=Accuracy(Pgd(5, 0.1), L2Ball(0.3))),
        replace(base, measurement=Accuracy(Pgd(5, 0.1), LinfBall(0.3, domain=None))),
        replace(base, measurement=Accuracy(Pgd(5, 0.1), LinfBall(0.3), source=SMALL)),
        replace(base, measurement=LossTrace(LinfBall(0.3), 5, 0.1, 3)),
    ]
    assert len({key(other) for other in [base, *others]}) == 1 + len(others)


# Descriptions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", profiles.NAMES)
def test_every_job_survives_description_and_parsing(profile: str) -> None:
    jobs = plan.jobs(plan.select([]), profile)
    assert jobs
    for job in jobs:
        for specification in (job.evaluation, job.full):
            read = parse(json.loads(json.dumps(describe(specification), allow_nan=False)))
            assert read == specification
            assert key(read) == key(specification)


@given(
    st.builds(
        lambda steps, size, loss, n, seed, eps, linf: Evaluation(
            replace(SMALL, seed=seed),
            Accuracy(Pgd(steps, size, loss=loss), LinfBall(min(eps, 1)) if linf else L2Ball(eps, domain=None)),
            Subset(n=n),
        ),
        st.integers(1, 10**6),
        st.floats(1e-9, 1e9),
        st.sampled_from(["margin", "cross_entropy"]),
        st.none() | st.integers(1, 10**5),
        st.integers(0, 2**63),
        st.floats(0, 1e6),
        st.booleans(),
    )
)
def test_description_loses_nothing(evaluation: Evaluation) -> None:
    assert parse(json.loads(json.dumps(describe(evaluation)))) == evaluation
    assert key(parse(describe(evaluation, complete=False))) == key(evaluation)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "Evaluatoin"}, "unknown specification type 'Evaluatoin'; did you mean 'Evaluation'"),
        ({"type": None}, "unknown specification type None"),
        ({"type": ["Evaluation"]}, "unknown specification type"),
        ({"subjct": 1}, "unknown Evaluation key 'subjct'; did you mean 'subject'"),
        ({"subset": {"type": "Subset", "nn": 3}}, "unknown Subset key 'nn'"),
        ({"subset": {"type": "Subset", "n": "3"}}, "Subset.n='3' has the wrong type"),
        ({"subset": {"type": "Subset", "n": True}}, "Subset.n=True has the wrong type"),
        ({"subset": {"type": "Subset", "n": 3.5}}, "Subset.n=3.5 has the wrong type"),
        ({"subset": {"type": "Subset", "split": "tset"}}, "unknown split 'tset'; did you mean 'test'"),
        ({"subset": {"type": "Clean"}}, "Evaluation.subset=.* has the wrong type"),
        ({"subset": 5}, "Evaluation.subset=5 has the wrong type"),
        ({"measurement": {"type": "LossTrace"}}, "LossTrace cannot be made from .*missing"),
        ({"measurement": {"type": "Accuracy", "attack": None}}, "Accuracy.attack=None has the wrong type"),
        (
            {"measurement": {"type": "Accuracy", "attack": {"type": "Pgd", "steps": 1, "step_size": math.nan}}},
            "Pgd.step_size=nan is not finite",
        ),
        (
            {"measurement": {"type": "Accuracy", "attack": {"type": "Pgd", "steps": 1, "step_size": "x"}}},
            "Pgd.step_size='x' has the wrong type; expected float",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    form = describe(Evaluation(SMALL, TrainingCurve())) | change
    with pytest.raises(RobustlibError, match=words):
        parse(form)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [1, "x"]}, r"Network.rows\[1\]='x' has the wrong type"),
        ({"rows": [1]}, "Network.rows=.* has 1 members; give 2"),
        ({"rows": 5}, "Network.rows=5 has the wrong type"),
        ({"parents": ["x"]}, r"Network.parents\[0\]='x' has the wrong type"),
        ({"dataset": "mnsit"}, "unknown dataset 'mnsit'; did you mean 'mnist'"),
        ({"seed": -math.inf}, "Network.seed=-inf is not finite"),
        ({"model": {"type": "ModelSpec", "name": "madry_cn"}}, "unknown model 'madry_cn'; did you mean 'madry_cnn'"),
        ({"model": {"type": "ModelSpec", "name": "madry_cnn", "width": 0}}, "width=0"),
        (
            {"defence": {"type": "PgdTraining", "threat": {"type": "LinfBall", "eps": -1}, "steps": 1, "step_size": 1}},
            "eps=-1.0 is negative",
        ),
        (
            {"defence": {"type": "FgsmTraining", "threat": {"type": "LinfBall", "eps": 0.1, "domain": [1.0]}}},
            "LinfBall.domain=.* has 1 members",
        ),
        (
            {"schedule": {"type": "Schedule", "steps": 1, "batch": 1, "lr": 0.1, "shape": "onecycle"}},
            "shape='onecycle'",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RobustlibError, match=words):
        parse(describe(SMALL) | change)


@pytest.mark.parametrize(
    "specification",
    [
        Pgd(steps=5, step_size=math.nan),
        Distances(Boundary(1), "linf", (0.1, math.inf)),
        Subset(n=2.0),  # type: ignore[arg-type]
        Schedule(steps=True, batch=1, lr=0.1),
        replace(SMALL, parents=("teacher",)),  # type: ignore[arg-type]
        LossTrace(0.3, 5, 0.1, 2),  # type: ignore[arg-type]
        {"type": "Clean"},
        object(),
        math.nan,
    ],
)
def test_what_cannot_be_described_has_no_key(specification: Any) -> None:
    with pytest.raises(RobustlibError):
        key(specification)


def test_a_class_that_is_not_registered_is_refused() -> None:
    with pytest.raises(RobustlibError, match=r"WithMomentum is not part of a specification; register it with @spec"):
        key(WithMomentum(steps=1, step_size=0.1))


# Differences --------------------------------------------------------------------------------------------------


def test_differences_read_field_by_field() -> None:
    full = paper.accuracy(paper.network(), replace(paper.PGD_100, restarts=20))
    other = replace(
        full,
        subject=replace(full.subject, dataset="digits", rows=None, schedule=replace(full.subject.schedule, steps=200)),
        measurement=replace(full.measurement, attack=paper.PGD_40, search="bfloat16"),
        subset=Subset(n=100),
    )
    assert differences(full, full) == []
    assert differences(full, other) == [
        "subject.dataset: mnist -> digits",
        "subject.schedule.steps: 100000 -> 200",
        "subject.rows: (5000, 60000) -> whole split",
        "measurement.attack.steps: 100 -> 40",
        "measurement.attack.restarts: 20 -> 1",
        "measurement.search: float32 -> bfloat16",
        "subset.n: whole split -> 100",
    ]


def test_what_a_teacher_shares_with_its_student_is_told_once() -> None:
    def distilled(teacher: int, student: int) -> Network:
        shorter = [replace(SMALL, schedule=replace(SMALL.schedule, steps=n)) for n in (teacher, student)]
        return replace(shorter[1], defence=Distillation(temperature=5.0), parents=(shorter[0],))

    full = replace(paper.accuracy(paper.network(), paper.PGD_40), subject=distilled(9, 9))
    told = ["subject.schedule.steps: 9 -> 4"]
    assert departures(full, replace(full, subject=distilled(4, 4))) == told
    assert departures(full, replace(full, subject=distilled(3, 4))) == [
        *told,
        "subject.parents[0].schedule.steps: 9 -> 3",
    ]


def test_a_replaced_component_is_described() -> None:
    (line,) = differences(SMALL, replace(SMALL, defence=PgdTraining(LinfBall(0.3), steps=5, step_size=0.1)))
    assert line.startswith("defence: Standard() -> PgdTraining(")
    assert "steps=5" in line
