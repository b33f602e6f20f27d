"""Published numbers and items: what the package's two files hold, and what is made of them."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from robustlib.catalogue import base, plan
from robustlib.catalogue.base import Cell, Published, find_item, items, papers, published, published_of
from robustlib.errors import RobustlibError


def lines(name: str) -> list[dict[str, str]]:
    found = []
    for paper in papers():
        file = resources.files(f"robustlib.papers.{paper}") / name
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as handle:
                found += list(csv.DictReader(handle))
    return found


def test_every_item_of_the_file_is_there_in_its_order() -> None:
    ids = [line["item"] for line in lines("items.csv")]
    # The papers' 68, and nine of this book's own.
    assert len(ids) == len(set(ids)) == 78
    assert [item.id for item in items() if not item.parent] == ids
    assert {item.paper for item in items()} == set(papers())
    assert len({item.id for item in items()}) == len(items())


def test_an_item_on_several_datasets_has_a_panel_for_each() -> None:
    panels = [item for item in items() if item.parent]
    for panel in panels:
        parent = find_item(panel.parent)
        assert panel.id.startswith(f"{parent.id}/")
        assert panel.datasets in [name.strip() for name in parent.datasets.split(";")]
        assert (panel.paper, panel.kind, panel.number) == (parent.paper, parent.kind, parent.number)
    capacity = [panel.id for panel in panels if panel.parent == "madry2018/capacity"]
    assert capacity == ["madry2018/capacity/mnist", "madry2018/capacity/cifar10"]
    order = [item.id for item in items()]
    assert order.index("madry2018/capacity") + 1 == order.index("madry2018/capacity/mnist")


def test_what_this_project_computed_is_no_published_number() -> None:
    computed = [number for number in published() if number.computed]
    assert computed
    assert all(number.source.startswith("computed here") and not number.verified for number in computed)
    # No item's cell is held against it.
    assert {number.item for number in computed} == {""}
    assert [number.id for number in published() if number.source.startswith("computed here")] == [
        n.id for n in computed
    ]
    assert {line["verified"] for line in lines("published.csv")} == {"yes", "no", "computed"}


def test_every_published_number_belongs_to_an_item() -> None:
    known = {item.id for item in items()}
    # A number of text or an appendix that is no table or figure names no item.
    assert {number.item for number in published()} - {""} <= known
    assert len({number.id for number in published()}) == len(published()) == len(lines("published.csv"))


def test_no_number_hides_another() -> None:
    for item in {number.item for number in published() if number.item.startswith("madry2018/")}:
        listed = [number for number in published() if number.item == item]
        if item in ("madry2018/table-1", "madry2018/capacity", "madry2018/accuracy-vs-eps"):
            assert len(published_of(item)) == len(listed), item


def test_a_number_keeps_the_papers_rounding() -> None:
    def printed(text: str) -> Published:
        return Published("x", "i", "r", "c", None, text, "%", True, "")

    assert [printed(text).decimals for text in ("91", "92.7", "0.450", "", "96.4% / 36.45")] == [0, 1, 3, 0, 1]
    numbers = {number.id: number for number in published()}
    assert numbers["papernot2016-002"].value == 92.78
    assert numbers["papernot2016-002"].decimals == 2
    assert all((number.value is not None) == _is_number(number.text) for number in published())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_unknown_items_are_refused_with_the_nearest() -> None:
    assert find_item("madry2018/table-1").number == "Table 1"
    words = "unknown item 'madry2018/tabel-1'; did you mean 'madry2018/table-1'"
    with pytest.raises(RobustlibError, match=words) as caught:
        find_item("madry2018/tabel-1")
    assert "`robustlib items` lists all" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_slugs_are_plain() -> None:
    assert base._slug("Fashion-MNIST (10 classes)") == "fashion-mnist-10-classes"


def test_each_item_has_cells_and_a_name_of_its_own() -> None:
    assert all(plan.cells_of(item.id) for item in items())
    assert len({item.slug for item in items()}) == len(items())


@pytest.mark.parametrize(
    ("row", "column", "where"),
    [
        ("(a) MNIST linf; eps=0.30", "PGD standard", {"panel": "(a) MNIST linf", "eps": 0.3, "column": "PGD standard"}),
        (
            "Method=PGD;Steps=-;Source=A'",
            "Accuracy",
            {"Method": "PGD", "Steps": "-", "Source": "A'", "column": "Accuracy"},
        ),
        ("row=Simple (PGD)", "column=Wide (PGD)", {"row": "Simple (PGD)", "column": "Wide (PGD)"}),
        ("(b) FGSM; capacity scale 4", "x", {"panel": "(b) FGSM", "capacity scale": 4.0, "column": "x"}),
        ("Large, natural;FGSM", "Source", {"panel": "Large, natural", "row": "FGSM", "column": "Source"}),
        (
            "Defense=TRADES (1/ λ = 6);Dataset=MNIST",
            "x",
            {"Defense": "TRADES (1/ λ = 6)", "Dataset": "MNIST", "column": "x"},
        ),
        ("Natural", "1/lambda=0.1", {"row": "Natural", "1/lambda": 0.1}),
    ],
)
def test_a_place_is_read_from_row_and_column(row: str, column: str, where: dict[str, object]) -> None:
    assert base.place(row, column) == where
    number = Published("x", "i", row, column, None, "", "%", verified=True, source="")
    assert number.where == Cell("i", "another label", "y", number).where == where
    assert Cell("i", row, column).where == where
