"""A cluster of worker processes: order, equal records, workers that die, stop or refuse."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
import torch
from distributed import Client, LocalCluster, WorkerPlugin

from robustlib.attacks.suite import Fgsm
from robustlib.cli import main
from robustlib.errors import RobustlibError
from robustlib.evaluate.losses import LossTrace
from robustlib.experiments import cluster
from robustlib.experiments.cluster import run_on
from robustlib.experiments.networks import Networks
from robustlib.experiments.runner import Summary
from robustlib.experiments.store import Store, weights_path
from robustlib.spec.evaluation import Evaluation, Subset
from robustlib.spec.keys import key
from robustlib.spec.network import Network
from robustlib.threat import LinfBall
from robustlib.training import Schedule, loop
from tests.experiments.tiny import CLEAN, EVERY, FGSM, NETWORK, OTHER, ROBUST, Made, accuracy, content, execute, jobs
from tests.processes import forked

BROKEN = replace(NETWORK, schedule=replace(NETWORK.schedule, lr=1e30))
LONG = replace(NETWORK, schedule=Schedule(steps=600, batch=64, lr=2e-3))


class Diary(WorkerPlugin):
    """Workers save checkpoints often, and write down when they train what, and from which step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def setup(self, worker: Any) -> None:
        loop.CHECKPOINT_SECONDS = 0.1
        obtain, load = Networks.obtain, loop.load_checkpoint

        def noted(self: Networks, network: Network) -> Any:
            note(f"begin {key(network)} {time.time()}")
            model = obtain(self, network)
            note(f"end {key(network)} {time.time()}")
            return model

        def resumed(*arguments: Any) -> Any:
            log = load(*arguments)
            note(f"from {log.step} {os.getpid()}")
            return log

        def note(line: str) -> None:
            with open(self.path, "a") as handle:
                handle.write(line + "\n")

        Networks.obtain = noted  # type: ignore[method-assign]
        loop.load_checkpoint = resumed


@pytest.fixture(scope="module", name="diary")
def _diary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diary") / "lines"


@pytest.fixture(scope="module", name="client")
def _client(diary: Path) -> Iterator[Client]:
    forked()
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as local,
        Client(local, set_as_default=False) as client,
    ):
        client.register_plugin(Diary(diary))
        yield client


@pytest.fixture(name="address")
def _address(client: Client, diary: Path) -> str:
    diary.write_text("")
    client.wait_for_workers(2, timeout=30)
    return str(client.scheduler.address)


def submit(address: str, folder: Path, *evaluations: Any, **options: Any) -> Summary:
    given = {"profile": "smoke", "device": "cpu", "cache": folder / "networks", "say": lambda line: None}
    return run_on(jobs(*evaluations), address, root=folder, **(given | options))


def lines(diary: Path, word: str) -> list[list[str]]:
    return [line.split()[1:] for line in diary.read_text().splitlines() if line.startswith(word)]


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def marks(folder: Path) -> list[Path]:
    return list(folder.rglob(".cluster-*"))


# What comes out -----------------------------------------------------------------------------------------------


def test_a_cluster_finds_what_one_process_finds(address: str, tmp_path: Path, made: Made) -> None:
    said: list[str] = []
    summary = submit(address, tmp_path, *EVERY, say=said.append)
    assert (len(summary.written), summary.present, summary.failed, summary.unfinished) == (len(EVERY), 0, [], 0)
    store = Store(tmp_path)
    for evaluation in EVERY:
        record = store.find(evaluation, "smoke")
        assert record is not None
        assert content(record) == content(made.record(evaluation))
    assert len([line for line in said if line.startswith("[")]) == len(EVERY), "a slow run also says how much is left"
    assert said[-1].startswith(f"[{len(EVERY)}/{len(EVERY)}] ")
    assert marks(tmp_path) == []
    assert submit("tcp://nobody.invalid:1", tmp_path, *EVERY).present == len(EVERY)


def test_networks_come_after_those_they_are_made_from(address: str, tmp_path: Path, diary: Path) -> None:
    teacher = replace(OTHER, parents=(NETWORK,))
    student, source = replace(ROBUST, parents=(teacher,)), replace(NETWORK, seed=5, parents=(teacher,))
    assert len(submit(address, tmp_path, accuracy(student, Fgsm(), source=source)).written) == 1
    begun = {name: float(at) for name, at in reversed(lines(diary, "begin"))}
    ended = {name: float(at) for name, at in reversed(lines(diary, "end"))}
    assert len(ended) == 4
    for network in (teacher, student, source):
        assert all(ended[key(parent)] <= begun[key(network)] for parent in network.parents)


def test_each_network_is_trained_once(address: str, tmp_path: Path, diary: Path) -> None:
    submit(address, tmp_path, CLEAN, FGSM, accuracy(OTHER), accuracy(attack=Fgsm(), source=OTHER))
    assert [step for step, _ in lines(diary, "from")] == ["0", "0"]


def test_recompute_trains_and_measures_again(address: str, tmp_path: Path, diary: Path, made: Made) -> None:
    submit(address, tmp_path, CLEAN)
    (record,) = submit(address, tmp_path, CLEAN, recompute=True).written
    assert len(lines(diary, "from")) == 2
    assert content(record) == content(made.record(CLEAN))


def test_two_submissions_write_one_record(address: str, tmp_path: Path, made: Made) -> None:
    with ThreadPoolExecutor(2) as pool:
        parts = [part.result() for part in [pool.submit(submit, address, tmp_path, CLEAN, FGSM) for _ in range(2)]]
    assert sum(len(part.written) for part in parts) == sum(part.present for part in parts) == 2
    assert len(list((tmp_path / "results").rglob("*.json"))) == 2
    assert Store(tmp_path).faults == {}


def test_workers_of_its_own(tmp_path: Path, made: Made) -> None:
    (record,) = submit("local:1", tmp_path, CLEAN).written
    assert content(record) == content(made.record(CLEAN))
    assert record.device.endswith(", 1 threads")


# Failures -----------------------------------------------------------------------------------------------------


def test_a_network_that_diverges_fails_only_what_needs_it(address: str, tmp_path: Path) -> None:
    child = replace(OTHER, parents=(BROKEN,))
    evaluations = (accuracy(BROKEN), CLEAN, accuracy(attack=Fgsm(), source=BROKEN), accuracy(child))
    summary = submit(address, tmp_path, *evaluations)
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN)]
    alone = execute(tmp_path / "alone", *evaluations[:3])
    assert set(alone.failed) < set(summary.failed)
    assert any(line.startswith(f"{child.name}/clean: {BROKEN.name}: the loss is") for line in summary.failed)
    assert len(summary.failed) == 3


def test_what_breaks_on_a_worker_is_reported_and_the_others_go_on(address: str, tmp_path: Path) -> None:
    weights_path(tmp_path / "networks", NETWORK).mkdir(parents=True)
    summary = submit(address, tmp_path, CLEAN, accuracy(OTHER))
    assert [record.evaluation_key for record in summary.written] == [key(accuracy(OTHER))]
    assert len(summary.failed) == 1


def test_what_no_record_can_hold_is_reported_and_the_others_go_on(address: str, tmp_path: Path) -> None:
    long = Evaluation(NETWORK, LossTrace(LinfBall(0.1), steps=100, step_size=0.01, runs=50), Subset(n=5))
    summary = submit(address, tmp_path, long, CLEAN)
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN)]
    (line,) = summary.failed
    assert "store counts, not samples" in line


def test_a_worker_that_does_not_see_the_folders_refuses(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "write_atomically", lambda path, content: None)
    with pytest.raises(RobustlibError, match=r"the worker on \S+ does not see .*networks.*folders that are shared"):
        submit(address, tmp_path, CLEAN)


def test_a_worker_with_several_threads_refuses(tmp_path: Path) -> None:
    with (
        LocalCluster(1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=":0") as local,
        pytest.raises(RobustlibError, match=r"runs 2 tasks at a time; start it with --nthreads 1"),
    ):
        submit(local.scheduler_address, tmp_path, CLEAN)


# Stopping -----------------------------------------------------------------------------------------------------


def test_the_time_budget_ends_at_a_checkpoint(address: str, tmp_path: Path) -> None:
    began = time.monotonic()
    forever = replace(LONG, schedule=replace(LONG.schedule, steps=100_000))
    summary = submit(address, tmp_path, accuracy(forever), accuracy(forever, Fgsm()), CLEAN, budget=2)
    assert time.monotonic() - began < 20
    assert [record.evaluation_key for record in summary.written] == [key(CLEAN)]
    assert (summary.unfinished, summary.failed) == (2, [])
    assert weights_path(tmp_path / "networks", forever).with_suffix(".checkpoint").exists()
    assert marks(tmp_path) == []


def test_ctrl_c_ends_at_a_checkpoint(address: str, tmp_path: Path) -> None:
    forever = replace(LONG, schedule=replace(LONG.schedule, steps=100_000))
    checkpoint = weights_path(tmp_path / "networks", forever).with_suffix(".checkpoint")

    def press() -> None:
        wait_for(checkpoint.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match="1 evaluations are left, run again to go on"):
        submit(address, tmp_path, accuracy(forever))
    thread.join()
    assert marks(tmp_path) == []


# Workers that die (last: it takes a while until the next one is there) ------------------------------------------


def test_a_worker_killed_in_mid_training_leaves_no_trace(
    address: str, tmp_path: Path, client: Client, diary: Path
) -> None:
    (undisturbed,) = execute(tmp_path / "alone", accuracy(LONG)).written
    checkpoint = weights_path(tmp_path / "networks", LONG).with_suffix(".checkpoint")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(submit, address, tmp_path, accuracy(LONG))
        wait_for(checkpoint.exists)
        ((step, victim),) = lines(diary, "from")
        os.kill(int(victim), signal.SIGKILL)
        (record,) = running.result().written
    assert step == "0"
    _, (resumed, heir) = lines(diary, "from")
    assert int(resumed) > 0
    assert heir != victim
    assert content(record) == content(undisturbed)
    assert len(list((tmp_path / "results").rglob("*.json"))) == 1


# Graphics processors ------------------------------------------------------------------------------------------


def test_gpus_are_asked_for_as_a_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "resolve_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(cluster, "LINE_SECONDS", 0.3)
    options: dict[str, Any] = {"threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    said: list[str] = []
    with LocalCluster(1, dashboard_address=":0", **options) as plain:
        summary = submit(plain.scheduler_address, tmp_path, CLEAN, device="cuda", budget=1, say=said.append)
    assert (summary.written, summary.unfinished) == ([], 1)
    assert "  1 of 1 left, 0 workers busy: start one with --resources GPU=1" in said
    with LocalCluster(1, dashboard_address=":0", resources={"GPU": 1}, **options) as gpus:
        assert len(submit(gpus.scheduler_address, tmp_path, CLEAN, device="cuda").written) == 1


# Without a cluster --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "local", "local:0", "local:-1", "4", "http://host:1", "tcp://host"])
def test_a_bad_cluster_names_itself(tmp_path: Path, value: str) -> None:
    with pytest.raises(RobustlibError, match=rf"cluster {value!r}; give local:N .* tcp://host:port"):
        submit(value, tmp_path, CLEAN)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "500ms"}),
        pytest.raises(RobustlibError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 "),
    ):
        submit("tcp://127.0.0.1:9", tmp_path, CLEAN)


def test_without_distributed_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RobustlibError, match=r"pip install -e '\.\[cluster\]'"):
        submit("local:2", tmp_path, CLEAN)


def test_no_module_imports_what_few_need_when_it_is_imported(root: Path) -> None:
    """To import torchvision takes longer than torch."""
    late = re.compile(r"^(import|from) (dask|distributed|pooch|torchvision)\b", re.M)
    for path in (root / "robustlib").rglob("*.py"):
        assert not late.search(path.read_text(encoding="utf-8")), path


def test_the_command_line_passes_everything_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def noted(jobs: Any, cluster: str, **options: Any) -> Summary:
        seen.append((len(jobs), cluster, options["budget"], options["device"], options["root"]))
        return Summary(present=len(jobs))

    monkeypatch.setattr("robustlib.commands.run_on", noted)
    command = ["--root", str(tmp_path), "run", "madry2018", "--cluster", "tcp://a:1"]
    assert main([*command, "--device", "cuda", "--time-budget", "9"]) == 0
    ((n, *rest),) = seen
    assert n > 0
    assert rest == ["tcp://a:1", 9.0, "cuda", tmp_path]
    assert main([*command, "--jobs", "2"]) == 2
    assert "--jobs" in capsys.readouterr().err
