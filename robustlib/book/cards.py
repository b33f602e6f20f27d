"""Model cards of the committed and of the released networks, with measurements, and data cards of the data sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..data.registry import REGISTRY
from ..evaluate.accuracy import stem_of
from ..experiments.store import Store, read_weights
from ..models.released import checkpoints
from ..spec.records import Metric, Record

ABOUT: dict[str, str] = json.loads(resources.files("robustlib.data").joinpath("about.json").read_text("utf-8"))
"""Contents of each data set, its known faults, and its uses in the book; MyST."""


SHARES = {"certified": ", certified points", "bound": ", error bound by the authors' rule"}
"""What a card calls shares that are no accuracy, after the measurement's name."""


def data_cards() -> str:
    """A card for each data set, from the registry that checks its bytes."""
    parts = []
    for facts in REGISTRY.values():
        shape = " × ".join(map(str, facts.shape))
        sources = [
            f"`{file.name}` ({file.checksum.partition(':')[0]} `{file.checksum.partition(':')[2][:16]}`)"
            for file in facts.files
        ]
        parts += [
            f"## {facts.title}",
            "",
            ABOUT[facts.name],
            "",
            f"- name: `{facts.name}`; {facts.n_train:,} rows to train on, {facts.n_test:,} to test, each {shape}",
            f"- values: {facts.dtype}, read as {facts.domain[0]:g} to {facts.domain[1]:g}",
            f"- classes: {', '.join(facts.classes)}",
            f"- licence: {facts.licence}",
            f"- official files: {', '.join(sources) or 'none to fetch'}",
            *(f"- digest of `{name}`: `{value[:16]}`" for name, value in facts.digests.items()),
            "",
        ]
    return "\n".join(parts)


def cards(folder: Path, store: Store, *, link: Callable[[str], str] = "../{}".format) -> str:
    """A card for each committed network: architecture, training and measurements.

    Args:
        folder: of the weights.
        store: the records.
        link: from a record's path to where it is linked to.
    """
    parts = []
    for path in sorted(folder.glob("*.safetensors")):
        _, facts = read_weights(path)
        records = [record for record in store.records() if record.weights_digest == facts["digest"]]
        parts += [
            f"## {path.name}",
            "",
            f"- training key `{facts['training_key']}`, digest `{facts['digest'][:16]}`",
            f"- size {path.stat().st_size / 2**20:.1f} MB, float16; computes in float32",
        ]
        parts += [*(_training(records) if records else []), *_measured(records, ("accuracy",), link), ""]
    return "\n".join(parts) or "No network is committed here.\n"


def released_cards(store: Store, *, link: Callable[[str], str] = "../{}".format) -> str:
    """A card for each network that the papers' authors released: what it is, where it is, and measurements.

    Args:
        store: the records.
        link: from a record's path to where it is linked to.
    """
    measured: dict[str, list[Record]] = {}
    for record in store.records():
        measured.setdefault(record.training["defence"].get("sha256", ""), []).append(record)
    parts = []
    for known in checkpoints().values():
        parts += [
            f"### {known.name}",
            "",
            f"- {known.about}",
            f"- inputs: {known.inputs}",
            f"- published: {known.source} ({{cite:t}}`{known.paper}`)",
            f"- file: [{Path(known.file).name}]({known.url}), SHA-256 `{known.sha256}`; licence {known.licence}; "
            f"`robustlib weights fetch {known.name}`",
            *_measured(measured.get(known.sha256, []), ("accuracy", "certified", "bound"), link),
            "",
        ]
    return "\n".join(parts)


def _measured(records: Sequence[Record], metrics: Sequence[str], link: Callable[[str], str]) -> list[str]:
    """A line for each accuracy of a record, or for the first of the metrics that it has; [] where there is none."""
    lines = []
    for record in sorted(records, key=_place):
        key = Path(record.path).stem.rpartition("-")[2]
        for name, asked, metric in _numbers(record, metrics):
            if metric.low is not None and metric.high is not None:
                lines.append(
                    f"| {name}{settings_text(asked)} | {threat_text(asked)} "
                    f"| {metric.value:.1%} | {metric.low:.1%} to {metric.high:.1%} | {metric.n:,} "
                    f"| [{key}]({link(record.path)}) |"
                )
    head = [
        "",
        "| measured | threat | accuracy, or what is named | 95 % interval | points | record |",
        "|---|---|---|---|---|---|",
    ]
    return [*head, *lines] if lines else []


def _numbers(record: Record, metrics: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any], Metric]]:
    """Name, measurement and value of what a card shows of a record: one, or one for each of several attacks."""
    asked = record.evaluation["measurement"]
    if "attacks" not in asked:
        shown = next((name for name in metrics if name in record.metrics), None)
        if shown is not None:
            yield Path(record.path).stem.rpartition("-")[0] + SHARES.get(shown, ""), asked, record.metrics[shown]
        return
    for name, metric in record.metrics.items():
        number, *source = map(int, name.split()[1:])
        attack = asked["attacks"][number]
        threat = None if attack["type"] == "Clean" else asked["threat"]
        one = {"attack": attack, "threat": threat, "source": asked["sources"][source[0]] if source else None}
        stem = stem_of(attack["type"], attack.get("steps"), attack.get("restarts"), transferred=bool(source))
        yield stem, one, metric


def _place(record: Record) -> tuple[str, str, float]:
    """Sort key of a record on its card: kind of measurement, then norm and radius."""
    ball = record.evaluation["measurement"].get("threat") or {}
    return Path(record.path).stem.rpartition("-")[0], ball.get("type", ""), ball.get("eps", 0.0)


def _training(records: Sequence[Record]) -> list[str]:
    """Recipe and cost of a network's training, from its records; what none of them was there to see is not told."""
    record = max(records, key=lambda each: each.training_cpu_s)
    spec = record.training
    defence, plan = spec["defence"], spec["schedule"]
    rows = "all rows" if spec["rows"] is None else "rows {:,} to {:,}".format(*spec["rows"])
    ball = f" against {threat_text(defence)}" if "threat" in defence else ""
    spent = f", in {record.training_cpu_s:,.0f} s of processor time on {record.device}" if record.training_cpu_s else ""
    return [
        f"- `{spec['model']['name']}` of width {spec['model']['width']}, trained on {spec['dataset']} ({rows}) as "
        f"`{defence['type']}`{ball}: {plan['steps']:,} updates of {plan['batch']} at rate {plan['lr']:g}{spent}",
        f"- departs from the paper in {sum(text.startswith('subject') for text in record.deviations)} settings, which "
        "its record page lists",
    ]


def threat_text(asked: Mapping[str, Any]) -> str:
    """A measurement's or a defence's ball in a few signs: ``ℓ∞ 0.3``, ``ℓ2 1.5, unclipped``, or "none"."""
    ball = asked.get("threat")
    if not ball:
        return "none"
    norm = {"LinfBall": "ℓ∞", "L2Ball": "ℓ2"}.get(ball["type"], ball["type"])
    return f"{norm} {ball['eps']:.4g}{'' if ball.get('domain') else ', unclipped'}"


def settings_text(measurement: Mapping[str, Any]) -> str:
    """Settings missing from a record's name, in parentheses: loss, kappa, targets, start, transfer source, bound."""
    attack, source = measurement.get("attack") or {}, measurement.get("source")
    told = [f"{attack['loss']} loss"] if attack.get("loss", "cross_entropy") != "cross_entropy" else []
    told += [f"κ {attack['kappa']:g}"] if attack.get("kappa") else []
    told += ["targeted"] if attack.get("targeted") else []
    told += ["random start"] if attack.get("random_step") else []
    # Other attacks hold a number of classes too, and their names say nothing of it either.
    told += [f"{attack['target_classes']} target classes"] if attack.get("target_classes") else []
    if isinstance(source, Mapping):
        told.append(f"made on {source['model']['name']}, {source['defence']['type']}, seed {source['seed']}")
        told += ["starts chosen on it alone"] if attack.get("best_by") == "loss" else []
    if "slopes" in measurement:
        # Intervals have no slopes.
        slopes = "" if measurement["method"] == "interval" else f", {measurement['slopes']} slopes"
        told.append(f"{measurement['method']} bound{slopes}")
    return f" ({', '.join(told)})" if told else ""
