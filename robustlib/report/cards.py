"""Cards: of each committed network what it is and what was measured on it, of each data set where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..data.registry import REGISTRY
from ..experiments.records import Record
from ..experiments.store import Store, read_weights

ABOUT = {
    "mnist": "Digits that employees of the United States census and high-school students wrote, as grey images "
    "with the digit's centre of mass in the middle {cite}`lecun1998`. The two groups of writers are not "
    "mixed in the test set: its halves are of different difficulty. Chapters 1 to 5 and the comparison "
    "use it.",
    "fashion_mnist": "Product photographs of a shop, made grey and small, in the format of MNIST and meant to take its "
    "place {cite}`xiao2017`. Some classes (shirt, T-shirt, pullover, coat) overlap to the eye. Chapter 2 "
    "uses it.",
    "cifar10": "Small photographs collected from the web by search words and labelled by students "
    "{cite}`krizhevsky2009`. Later work found near copies between the two splits and some wrong labels; "
    "they stand here as they are. The test set of this edition has 20 images that are not byte for byte "
    "the official ones, and every row that counts them carries a dagger. Chapters 1, 3, 4 and 5 use it.",
    "svhn": "House numbers cut from photographs of streets, one digit in the middle and often others beside it. "
    "It was not to be had where this edition was made: its rows say *not run*. Its loader has tests.",
    "har": "Features of the motion of a telephone at the waist of 30 volunteers, each doing six things; those of "
    "the test set are other people than those of the training set, so that shares can be counted by "
    "person. The copy of this edition was computed anew from the raw signals, and agrees with the "
    "published features to a tolerance. Chapters 2 and 3 use it.",
    "digits": "Digits on a grid of eight by eight, with 17 levels of grey. They come with scikit-learn, and stand "
    "in for everything in the smoke profile and in live demonstrations; no published table has a number "
    "of theirs.",
    "toy": "The points of the example in chapter 2, by the rule and seeds of the authors' notebook. The two "
    "splits are the same points.",
    "plane": "The points of the first figure of chapter 5, by this book's own rule and seed. The two splits are "
    "the same points.",
    "lender": "Nobody's data: a written model with made-up coefficients, for the question of chapter 5 whom "
    "robustness costs what. No number of it says anything about real lending.",
}
"""What each set is of, what is wrong with it, and where the book uses it; MyST."""


def data_cards() -> str:
    """A card for each data set, from the registry that checks its bytes."""
    parts = []
    for facts in REGISTRY.values():
        shape = " × ".join(map(str, facts.shape))
        sources = [f"`{file.name}` ({file.checksum.partition(':')[0]} `{file.checksum.partition(':')[2][:16]}`)"
                   for file in facts.files]  # fmt: skip
        parts += [
            f"## {facts.title}", "",
            ABOUT[facts.name], "",
            f"- name: `{facts.name}`; {facts.n_train:,} rows to train on, {facts.n_test:,} to test, each {shape}",
            f"- values: {facts.dtype}, read as {facts.domain[0]:g} to {facts.domain[1]:g}",
            f"- classes: {', '.join(facts.classes)}",
            f"- licence: {facts.licence}",
            f"- official files: {', '.join(sources) or 'none to fetch'}",
            *(f"- digest of `{name}`: `{value[:16]}`" for name, value in facts.digests.items()),
            "",
        ]  # fmt: skip
    return "\n".join(parts)


def cards(folder: Path, store: Store, *, link: Callable[[str], str] = "../{}".format) -> str:
    """A card for each committed network: what it is, how it was made, what was measured on it.

    Args:
        folder: of the weights.
        store: the records.
        link: from a record's path to where it is linked to.
    """
    parts = []
    for path in sorted(folder.glob("*.safetensors")):
        _, facts = read_weights(path)
        records = [record for record in store.records() if record.weights_digest == facts["digest"]]
        parts += [f"## {path.name}", "", f"- training key `{facts['training_key']}`, digest `{facts['digest'][:16]}`",
                  f"- size {path.stat().st_size / 2**20:.1f} MB, float16; computes in float32"]  # fmt: skip
        if records:
            parts += [*_training(records[0]), "", "| measured | threat | value | 95 % interval | points | record |",
                      "|---|---|---|---|---|---|"]  # fmt: skip
        for record in sorted(records, key=_place):
            metric = record.metrics.get("accuracy")
            if metric is not None and metric.low is not None and metric.high is not None:
                name, _, key = Path(record.path).stem.rpartition("-")
                asked = record.evaluation["measurement"]
                parts.append(
                    f"| {name}{_how(asked)} | {threat_text(asked)} "
                    f"| {metric.value:.1%} | {metric.low:.1%} to {metric.high:.1%} | {metric.n:,} "
                    f"| [{key}]({link(record.path)}) |"
                )
        parts.append("")
    return "\n".join(parts) or "No network is committed here.\n"


def _place(record: Record) -> tuple[str, str, float]:
    """By kind of measurement, then by norm and radius."""
    ball = record.evaluation["measurement"].get("threat") or {}
    return Path(record.path).stem.rpartition("-")[0], ball.get("type", ""), ball.get("eps", 0.0)


def _training(record: Record) -> list[str]:
    spec = record.training
    defence, plan = spec["defence"], spec["schedule"]
    rows = "all rows" if spec["rows"] is None else "rows {:,} to {:,}".format(*spec["rows"])
    ball = f" against {threat_text(defence)}" if "threat" in defence else ""
    return [
        f"- `{spec['model']['name']}` of width {spec['model']['width']}, trained on {spec['dataset']} ({rows}) as "
        f"`{defence['type']}`{ball}: {plan['steps']:,} updates of {plan['batch']} at rate {plan['lr']:g}, in "
        f"{record.training_cpu_s:g} s of processor time on {record.device}",
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


def _how(measurement: Mapping[str, Any]) -> str:
    """What a name does not say of an attack: another loss, targets, another network as the source."""
    attack, source = measurement.get("attack") or {}, measurement.get("source")
    told = [f"{attack['loss']} loss"] if attack.get("loss", "cross_entropy") != "cross_entropy" else []
    told += [f"κ {attack['kappa']:g}"] if attack.get("kappa") else []
    told += ["targeted"] if attack.get("targeted") else []
    if isinstance(source, Mapping):
        told.append(f"made on {source['model']['name']}, {source['defence']['type']}, seed {source['seed']}")
    return f" ({', '.join(told)})" if told else ""
