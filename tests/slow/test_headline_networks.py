"""Long proofs on real data: the committed networks still give the numbers of their records."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustlib.catalogue import plan
from robustlib.data import data_root
from robustlib.environment import repository
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.experiments.runner import Job, run, verify
from robustlib.experiments.store import Store
from robustlib.spec.keys import key
from robustlib.spec.records import Record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # minutes of one core, of which a machine may have other uses
    pytest.mark.skipif(
        not (data_root() / "mnist.npz").exists(), reason="needs MNIST: set ROBUSTLIB_DATA to a folder with mnist.npz"
    ),
]

WEIGHTS = repository() / "weights"


@pytest.fixture(scope="module")
def recorded(committed: Store) -> list[tuple[Job, Record]]:
    """Accuracy records of Madry's Table 1 that need nothing but committed weights, white box."""
    names = {path.stem for path in WEIGHTS.glob("*.safetensors")}
    found = []
    for job in plan.jobs(plan.select(["madry2018/table-1"]), "quick"):
        record = committed.find(job.evaluation, "quick")
        if record is None or not isinstance(job.evaluation.measurement, Accuracy):
            continue
        stems = {f"{n.name}-{key(n)[:8]}" for n in job.evaluation.networks}
        restarts = getattr(job.evaluation.measurement.attack, "restarts", 1)
        if stems <= names and restarts == 1:
            found.append((job, record))
    return found


def test_committed_weights_give_the_recorded_accuracies(recorded: list[tuple[Job, Record]]) -> None:
    """Float arithmetic differs between machines: a point in a hundred may cross, no more."""
    assert len(recorded) >= 5, "no committed weights with records: Table 1 cannot be verified by a reader"
    for job, record in recorded:
        old, new = verify(job.evaluation, record, device="cpu", folder=WEIGHTS)
        assert abs(old - new) <= 0.01, f"{record.path}: recorded {old}, now {new}"


def test_weights_of_another_network_are_refused(recorded: list[tuple[Job, Record]], tmp_path: Path) -> None:
    job, record = recorded[0]
    with pytest.raises(RobustlibError, match="not committed"):
        verify(job.evaluation, record, device="cpu", folder=tmp_path)


def test_published_floor_of_the_quick_protocol(committed: Store) -> None:
    """What the quick protocol promises for network A: 98 % clean and 91 % under PGD-40 at eps 0.3."""
    jobs = {
        j.evaluation.name: j
        for j in plan.jobs(plan.select(["madry2018/table-1"]), "quick")
        if j.evaluation.subject.seed == 0
        and len(j.evaluation.networks) == 1
        and getattr(j.evaluation.measurement.attack, "loss", "") != "margin"
        and not getattr(j.evaluation.measurement.attack, "targeted", False)
    }
    clean, pgd = (committed.find(jobs[name].evaluation, "quick") for name in ("clean", "pgd40x1"))
    assert clean is not None
    assert pgd is not None
    assert clean.metrics["accuracy"].value >= 0.98
    assert pgd.metrics["accuracy"].value >= 0.91


def test_quick_training_of_a_small_network_repeats(committed: Store, tmp_path: Path) -> None:
    """The smallest network of the capacity family, trained again from nothing, gives its recorded loss."""
    jobs = [
        job
        for job in plan.jobs(plan.select(["madry2018/capacity/mnist"]), "quick")
        if (job.evaluation.subject.name, job.evaluation.name) == ("mnist-madry_cnn1-standard-s0", "trainingcurve")
    ]
    assert len(jobs) == 1
    old = committed.find(jobs[0].evaluation, "quick")
    assert old is not None
    again = Store(tmp_path)
    run(
        jobs,
        profile="quick",
        store=again,
        device="cpu",
        cache=tmp_path / "networks",
        recompute=True,
        say=lambda _: None,
    )
    new = again.find(jobs[0].evaluation, "quick")
    assert new is not None
    assert new.metrics["final_loss"].value == pytest.approx(old.metrics["final_loss"].value, rel=0.15)
