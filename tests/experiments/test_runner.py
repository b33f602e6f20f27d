"""The runner: trains once, stops and resumes without a trace, goes on past what diverges, shares with neighbours."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from robustlib import commands
from robustlib.attacks.suite import Fgsm, Jsma, Noise
from robustlib.catalogue import plan
from robustlib.cli import main
from robustlib.errors import RobustlibError
from robustlib.evaluate.accuracy import Accuracy
from robustlib.evaluate.losses import LocalMaxima, TrainingCurve
from robustlib.evaluate.pictures import Samples
from robustlib.experiments import networks, runner
from robustlib.experiments.cost import evaluation_flops, training_flops
from robustlib.experiments.networks import Networks
from robustlib.experiments.processes import side_by_side
from robustlib.experiments.provenance import resolve_device
from robustlib.experiments.runner import Job, run, verify
from robustlib.experiments.store import Store, weights_path
from robustlib.files import lock
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import key
from robustlib.spec.measurement import Measured, Subject
from robustlib.spec.network import Network
from robustlib.spec.records import dumps
from robustlib.training import Schedule
from tests.experiments.tiny import (
    BALL,
    CLEAN,
    CURVE,
    DISTANCES,
    EVERY,
    FGSM,
    MAXIMA,
    NETWORK,
    OTHER,
    PGD,
    ROBUST,
    TRACE,
    TRANSFER,
    Made,
    accuracy,
    content,
    execute,
    fabricate,
)

NOISE = accuracy(attack=Noise())
BROKEN = replace(NETWORK, schedule=Schedule(steps=20, batch=64, lr=1e30))


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the networks that were trained since."""
    seeds: list[int] = []
    real = networks.fit

    def counted(*arguments: Any, seed: int, **options: Any) -> Any:
        seeds.append(seed)
        return real(*arguments, seed=seed, **options)

    monkeypatch.setattr(networks, "fit", counted)
    return seeds


# What is run --------------------------------------------------------------------------------------------------


def test_each_evaluation_is_one_record_with_what_it_says(made: Made) -> None:
    assert len(made.summary.written) == len(EVERY)
    assert made.summary.failed == []
    for evaluation in EVERY:
        record = made.record(evaluation)
        assert (record.evaluation_key, record.training_key) == (key(evaluation), key(evaluation.subject))
        assert record.dataset["name"] == "digits"
        assert record.dataset["inexact"] == {"train": 0, "test": 0}
        assert record.profile == "smoke"
        assert record.versions["torch"] == str(torch.__version__)
        assert record.wall_s >= 0
        assert record.operations > 0 or evaluation is CURVE
        assert record.training_s > 0
        assert record.deviations == []
    assert made.record(CLEAN).metrics["accuracy"].value > 0.5
    assert made.record(CLEAN).metrics["accuracy"].value >= made.record(FGSM).metrics["accuracy"].value


def test_each_kind_of_measurement_files_what_it_is_for(made: Made) -> None:
    curve = made.record(CURVE)
    assert curve.series["step"] == [12, 24, 36, 48, 60]
    assert len(curve.series["loss"]) == len(curve.series["accuracy"]) == 5
    assert curve.series["loss"][-1] < curve.series["loss"][0]
    for record in (made.record(TRACE), made.record(MAXIMA)):
        assert record.metrics["final_loss"].unit == "nats"
    traces = made.record(TRACE).series
    assert [(len(runs), len(runs[0])) for runs in traces.values()] == [(3, 5), (3, 5)]  # type: ignore[arg-type]
    for histogram in made.record(MAXIMA).histograms.values():
        assert sum(histogram["counts"]) == 7
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    radii = [made.record(DISTANCES).metrics[f"accuracy@{eps}"].value for eps in ("0", "0.1", "1")]
    assert radii == sorted(radii, reverse=True)
    assert made.record(TRANSFER).outcomes != {}


def test_final_losses_are_counted_between_their_least_and_their_greatest(copy: Path) -> None:
    own = replace(MAXIMA, measurement=LocalMaxima(BALL, steps=3, step_size=0.05, starts=7, edges=None))
    run([Job(own, own)], profile="smoke", store=Store(copy), device="cpu", cache=copy / "networks")
    record = Store(copy).find(own, "smoke")
    assert record is not None
    for name, histogram in record.histograms.items():
        edges, counts = histogram["edges"], histogram["counts"]
        assert (len(edges), len(counts), sum(counts)) == (41, 40, 7)
        assert counts[0] >= 1
        assert counts[-1] >= 1
        assert record.metrics[f"max_over_median_{name.removeprefix('example_')}"].value <= edges[-1] / edges[0] + 1e-6


def test_samples_are_one_right_point_of_a_class_and_what_a_targeted_attack_makes_of_it(copy: Path) -> None:
    attack = Jsma(features=20, fill=1.0)
    both, plain = (replace(CLEAN, measurement=Samples((7, 2), attack=used)) for used in (attack, None))
    run([Job(both, both), Job(plain, plain)], profile="smoke", store=Store(copy), device="cpu", cache=copy / "networks")
    found, alone = (Store(copy).find(evaluation, "smoke") for evaluation in (both, plain))
    assert found is not None
    assert alone is not None
    clean, attacked = (np.asarray(found.series[name]) for name in ("clean", "attacked"))
    assert found.series["label"] == [7, 2]
    assert clean.shape == (2, 64)
    # Features only grow, to the fill value, and no more of them than the attack may change.
    assert set(attacked[clean != attacked]) <= {255}
    assert (clean != attacked).sum(1).max() <= 20
    reached = np.asarray(found.series["led_to"]) == [8, 3]
    assert found.metrics["success"].value == reached.mean()
    assert (clean != attacked).any(1)[reached].all()
    assert alone.series["clean"] == found.series["clean"]
    assert set(alone.metrics) == {"kept"}
    assert "attacked" not in alone.series


def test_what_departs_from_the_full_protocol_is_written_down(copy: Path) -> None:
    small = replace(NOISE, subset=Subset(n=20))
    job = Job(full=NOISE, evaluation=small)
    summary = run([job], profile="smoke", store=Store(copy), device="cpu", cache=copy / "networks")
    assert summary.written[0].deviations == job.deviations == ["subset.n: 60 -> 20"]


def test_an_evaluation_added_later_trains_nothing(copy: Path, fits: list[int]) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*.json")}
    summary = execute(copy, *EVERY, NOISE)
    assert [record.evaluation_key for record in summary.written] == [key(NOISE)]
    assert summary.present == len(EVERY)
    assert fits == []
    assert {path: path.read_bytes() for path in before} == before


def test_a_second_run_does_nothing(copy: Path, fits: list[int]) -> None:
    summary = execute(copy, *EVERY)
    assert (summary.written, summary.present, summary.unfinished) == ([], len(EVERY), 0)
    assert fits == []


def test_recompute_trains_and_measures_again(copy: Path, made: Made, fits: list[int]) -> None:
    summary = execute(copy, CLEAN, FGSM, recompute=True)
    assert len(summary.written) == 2
    assert fits == [0]
    assert content(summary.written[0]) == content(made.record(CLEAN))


def test_networks_are_trained_again_where_only_records_are_left(copy: Path, made: Made, fits: list[int]) -> None:
    shutil.rmtree(copy / "networks")
    (record,) = execute(copy, CLEAN, FGSM, NOISE).written
    assert fits == [0]
    assert record.weights_digest == made.record(CLEAN).weights_digest


def test_committed_weights_are_used_and_the_curve_trains_for_its_log(copy: Path, made: Made, fits: list[int]) -> None:
    committed = copy / "weights"
    committed.mkdir()
    for path in (copy / "networks").glob("*.safetensors"):
        shutil.copy(path, committed)
    shutil.rmtree(copy / "networks")
    shutil.rmtree(copy / "results")
    execute(copy, CLEAN, FGSM, committed=committed)
    assert fits == []
    (record,) = execute(copy, CURVE, committed=committed).written
    assert fits == [0]
    assert content(record) == content(made.record(CURVE))


def test_an_evaluation_listed_twice_is_run_once(tmp_path: Path, copy: Path) -> None:
    assert len(execute(copy, NOISE, NOISE).written) == 1


def test_rows_beyond_the_data_are_refused(tmp_path: Path) -> None:
    beyond = replace(NETWORK, rows=(0, 60_000))
    with pytest.raises(RobustlibError, match=r"rows=\(0, 60000\) of digits-.*digits has 1437 training rows"):
        execute(tmp_path, accuracy(beyond))
    with pytest.raises(RobustlibError, match="subset size 100000"):
        execute(tmp_path, replace(CLEAN, subset=Subset(n=100_000)))
    assert not any(tmp_path.rglob("results/**/*.json"))


def test_unknown_devices_are_named() -> None:
    with pytest.raises(RobustlibError, match="unknown device 'cdua'; did you mean 'cuda'"):
        resolve_device("cdua")
    assert resolve_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(RobustlibError, match="device 'cuda' is not usable here; use cpu or auto"):
            resolve_device("cuda")
        assert resolve_device("auto") == torch.device("cpu")


# Stopping and resuming ----------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes one second on whenever the runner looks at it: updates of training are seconds."""
    ticks = count()
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: float(next(ticks)), process_time=lambda: 0.0))


@pytest.mark.usefixtures("clock")
def test_a_budget_stops_at_a_checkpoint_and_the_next_run_leaves_no_trace(tmp_path: Path, made: Made) -> None:
    said: list[str] = []
    first = execute(tmp_path, *EVERY, budget=25, say=said.append)
    assert first.written == []
    assert first.unfinished == len(EVERY)
    assert [line for line in said if "stopped at step" in line and "of 60" in line]
    checkpoints = list((tmp_path / "networks").glob("*.checkpoint"))
    assert len(checkpoints) == 1
    second = execute(tmp_path, *EVERY, budget=20)
    assert second.unfinished == len(EVERY)
    last = execute(tmp_path, *EVERY)
    assert last.unfinished == 0
    assert not checkpoints[0].exists()
    found = {record.evaluation_key: content(record) for record in last.written}
    assert found == {key(evaluation): content(made.record(evaluation)) for evaluation in EVERY}


def test_a_spent_budget_runs_nothing(tmp_path: Path) -> None:
    summary = execute(tmp_path, CLEAN, FGSM, budget=0)
    assert (summary.written, summary.unfinished) == ([], 2)


def test_a_damaged_checkpoint_only_costs_time(tmp_path: Path, made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    path = weights_path(tmp_path / "networks", NETWORK).with_suffix(".checkpoint")
    path.parent.mkdir()
    path.write_bytes(b"half of a checkpoint")
    (record,) = execute(tmp_path, CLEAN).written
    assert "set aside, training starts anew" in capsys.readouterr().out
    assert path.with_name(path.name + ".bad").exists()
    assert content(record) == content(made.record(CLEAN))


# Failures -----------------------------------------------------------------------------------------------------


def test_a_network_that_diverges_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    summary = execute(tmp_path, accuracy(BROKEN), accuracy(BROKEN, Fgsm()), Evaluation(BROKEN, TrainingCurve()), CLEAN)
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN)]
    assert len(summary.failed) == 3
    assert all(f"{BROKEN.name}: the loss is" in line and "lower the learning rate" in line for line in summary.failed)
    # The log of what happened is kept; no weights are.
    log = Networks(torch.device("cpu"), tmp_path / "networks", None).log(BROKEN)
    assert log is not None
    assert log["loss"]
    assert not weights_path(tmp_path / "networks", BROKEN).exists()


def test_a_network_that_diverged_is_not_trained_by_the_next_process(tmp_path: Path, fits: list[int]) -> None:
    def failures(network: Network, **options: Any) -> list[str]:
        return execute(tmp_path, accuracy(network), **options).failed

    (first,), trained = failures(BROKEN), len(fits)
    assert failures(BROKEN) == [f"{first} (found by another run; --recompute trains again)"]
    assert len(fits) == trained
    assert failures(BROKEN, recompute=True) == [first]
    assert len(fits) == trained + 1
    # A recipe that shares its name is another network, and so is the same one for other code.
    (mark,) = (tmp_path / "networks").glob("*.diverged")
    mark.write_text(mark.read_text(encoding="utf-8").replace(key(BROKEN), "0" * 16), encoding="utf-8")
    assert failures(BROKEN) == [first]
    mark.write_text("", encoding="utf-8")
    assert failures(BROKEN) == [first]
    assert len(fits) == trained + 3
    assert failures(replace(BROKEN, schedule=NETWORK.schedule)) == []


def test_a_source_that_diverges_leaves_its_subject_alone(tmp_path: Path) -> None:
    diverged = replace(BROKEN, seed=9)
    summary = execute(tmp_path, accuracy(attack=Fgsm(), source=diverged), CLEAN, FGSM)
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN), key(FGSM)]
    (line,) = summary.failed
    assert "fgsm-transfer: " in line
    assert f"{diverged.name}: the loss is" in line


def test_what_no_record_can_hold_is_reported_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Accuracy.run

    def long(self: Accuracy, on: Subject) -> Measured:
        found = plain(self, on)
        if on.name == key(FGSM):
            found.series = {"x": [0.5] * 40_000}
        return found

    monkeypatch.setattr(Accuracy, "run", long)
    summary = execute(tmp_path, FGSM, CLEAN)
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN)]
    (line,) = summary.failed
    assert "fgsm: record" in line
    assert "store counts, not samples" in line


def test_a_lost_training_log_is_said(copy: Path) -> None:
    log = weights_path(copy / "networks", NETWORK).with_suffix(".log.json")
    for text in ("", "{}", "[1]", '{"loss": [1]}'):
        log.write_text(text)
        assert Networks(torch.device("cpu"), copy / "networks", None).log(NETWORK) is None
    Store(copy).path_of(CURVE, "smoke").unlink()
    with pytest.raises(RobustlibError, match=r"the training log of .* is gone; train it again with recompute"):
        execute(copy, CURVE)
    assert len(execute(copy, CURVE, recompute=True).written) == 1


# Neighbours ---------------------------------------------------------------------------------------------------


def test_what_a_neighbour_has_is_left_until_everything_else_is_done(tmp_path: Path, made: Made) -> None:
    """A neighbour trains one network and measures another; it lets go when the rest is done."""
    held = [
        weights_path(tmp_path / "networks", NETWORK).with_suffix(".lock"),
        tmp_path / "networks" / f"{key(accuracy(OTHER))}.evaluation.lock",
    ]
    seen: list[str] = []
    with ExitStack() as neighbour:
        for path in held:
            neighbour.enter_context(lock(path))

        def say(line: str) -> None:
            seen.append(line)
            neighbour.close()

        summary = execute(tmp_path, CLEAN, FGSM, accuracy(OTHER), accuracy(ROBUST), say=say)
    assert [record.training_key for record in summary.written[:1]] == [key(ROBUST)]
    assert (len(summary.written), summary.present, summary.unfinished) == (4, 0, 0)
    assert [line.partition("]")[0] for line in seen] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert content(summary.written[1]) == content(made.record(CLEAN))


def test_a_neighbour_who_keeps_everything_is_not_waited_for_beyond_the_budget(tmp_path: Path) -> None:
    with lock(weights_path(tmp_path / "networks", NETWORK).with_suffix(".lock")):
        summary = execute(tmp_path, CLEAN, FGSM, budget=1.5)
    assert (summary.written, summary.unfinished) == ([], 2)


def test_runs_side_by_side_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found, lines = {}, []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for n in (1, 2):
        root, options = tmp_path / str(n), ["--jobs", str(n), "--device", "cpu"]
        root.mkdir()
        assert main(["--root", str(root), "run", "wong2018/toy-2d", *options, "--cache", str(root / "networks")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].startswith("4 records written, 0 were there, 0 left, 0 failed")
        found[n] = {record.evaluation_key: content(record) for record in Store(root).records("smoke")}
    assert found[1] == found[2]
    # Two processes took part, and wrote each record once.
    written = [re.match(r"([12])\| (\d+) records written", line) for line in lines]
    assert sorted(line[1] for line in written if line) == ["1", "2"]
    assert sum(int(line[2]) for line in written if line) == 4


def test_a_process_that_is_killed_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel where memory runs out, for example."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho last words\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    said: list[str] = []
    assert side_by_side([], 2, threads=1, say=said.append) == [137, 137]
    assert sorted(said) == ["1| last words", "2| last words"]


@pytest.mark.parametrize(("which", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_no_process_outlives_the_first(
    which: signal.Signals, raised: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho $$\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    numbers: list[int] = []

    def say(line: str) -> None:
        numbers.append(int(line.partition("| ")[2]))
        if len(numbers) == 2:
            os.kill(os.getpid(), which)

    before = signal.signal(signal.SIGTERM, lambda signum, frame: pytest.fail("SIGTERM was not handled"))
    try:
        with pytest.raises(raised) as ended:
            side_by_side([], 2, threads=1, say=say)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert which == signal.SIGINT or ended.value.args == (143,)
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


@pytest.mark.parametrize(
    ("options", "codes", "line", "code"),
    [
        ([], [1, 1], "0 left, 1 failed", 1),
        ([], [137, 137], "0 left, 1 failed", 137),
        (["--time-budget", "9"], [0, 0], "1 left, 0 failed", 0),
    ],
)
def test_what_runs_side_by_side_did_not_make_is_left_or_failed(
    options: list[str],
    codes: list[int],
    line: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "side_by_side", lambda *arguments, **named: codes)
    item = "madry2018/capacity/mnist"
    job = plan.jobs(plan.select([item]), "smoke")[0]
    run = ["run", item, "--jobs", "2", "--device", "cpu", "--only", key(job.evaluation), *options]
    assert main(["--root", str(tmp_path), *run]) == code
    assert f"0 records written, 0 were there, {line}" in capsys.readouterr().out


def test_recompute_side_by_side_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "run", "madry2018/table-1", "--jobs", "2", "--recompute"]) == 2
    assert "--jobs 2 --recompute would measure everything 2 times; leave one out" in capsys.readouterr().err


# Verification -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [CLEAN, FGSM, PGD, TRACE, MAXIMA, DISTANCES, TRANSFER], ids=lambda e: e.name)
def test_stored_weights_give_the_recorded_numbers(evaluation: Evaluation, made: Made) -> None:
    old, new = verify(evaluation, made.record(evaluation), device="cpu", folder=made.folder / "networks")
    assert old == new


def test_a_record_that_was_never_measured_does_not_verify(made: Made) -> None:
    real = made.record(PGD)
    invented = fabricate(PGD, "smoke", correct=1.0, n=60, weights_digest=real.weights_digest)
    old, new = verify(PGD, invented, device="cpu", folder=made.folder / "networks")
    assert (old, new) == (1.0, real.metrics["accuracy"].value)
    # Whatever metric it is that moved.
    metrics = made.record(DISTANCES).metrics
    moved = replace(metrics["accuracy@0.1"], value=metrics["accuracy@0.1"].value - 0.5)
    record = replace(made.record(DISTANCES), metrics={**metrics, "accuracy@0.1": moved})
    assert verify(DISTANCES, record, device="cpu", folder=made.folder / "networks")[0] == moved.value


def test_weights_that_are_not_the_records_are_refused(made: Made, copy: Path) -> None:
    with pytest.raises(RobustlibError, match=r"the weights of digits-.* are not committed in empty/; run its item"):
        verify(CLEAN, made.record(CLEAN), device="cpu", folder=copy / "empty")
    record = replace(made.record(CLEAN), weights_digest=made.record(CLEAN).weights_digest[::-1])
    with pytest.raises(RobustlibError, match=r"was measured on weights .*, found"):
        verify(CLEAN, record, device="cpu", folder=made.folder / "networks")
    shutil.copy(weights_path(copy / "networks", OTHER), weights_path(copy / "networks", NETWORK))
    with pytest.raises(RobustlibError, match="was written for training_key"):
        verify(CLEAN, made.record(CLEAN), device="cpu", folder=copy / "networks")
    # A source's weights are needed as well.
    shutil.copy(weights_path(made.folder / "networks", NETWORK), weights_path(copy / "networks", NETWORK))
    weights_path(copy / "networks", OTHER).unlink()
    with pytest.raises(RobustlibError, match="s1 are not committed"):
        verify(TRANSFER, made.record(TRANSFER), device="cpu", folder=copy / "networks")


def test_verifying_changes_no_file(made: Made) -> None:
    before = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    verify(PGD, made.record(PGD), device="cpu", folder=made.folder / "networks")
    assert {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()} == before


# Costs --------------------------------------------------------------------------------------------------------


def test_operations_follow_from_the_protocol() -> None:
    channels, hidden = (4, 8), 128
    first = 2 * 64 * 25 * channels[0]
    flops = first + 2 * (16 * 25 * channels[0] * channels[1] + 4 * channels[1] * hidden + hidden * 10)
    # Weights ask for no gradient to the input; the two steps of the attack do, and for none to the weights.
    assert training_flops(NETWORK) == (3 * flops - first) * 60 * 64
    assert training_flops(ROBUST) == (2 * 2 * flops + 3 * flops - first) * 20 * 32
    assert evaluation_flops(CLEAN, 60) == 60 * flops
    assert evaluation_flops(FGSM, 60) == 60 * 3 * flops
    assert evaluation_flops(PGD, 60) == 60 * (1 + 2 * 3 * 2) * flops


def test_records_of_one_run_are_the_files(made: Made) -> None:
    for record in made.summary.written:
        assert (made.folder / record.path).read_text() == dumps(record)
