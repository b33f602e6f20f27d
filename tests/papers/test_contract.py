"""What every paper's package promises: cells for its numbers and items, claims, one reduction for each evaluation."""

from __future__ import annotations

from collections import Counter

import pytest

from robustlib.catalogue import plan
from robustlib.catalogue.base import Cell, Predicate, find_item, items, papers, published
from robustlib.experiments import profiles
from robustlib.experiments.profiles import reduction_of

PAPERS = tuple(papers())


def cells_of(paper: str) -> list[Cell]:
    return [cell for item in items() if item.paper == paper and not item.parent for cell in plan.cells_of(item.id)]


def claims_of(paper: str) -> list[Predicate]:
    return [one for item in items() if item.paper == paper and not item.parent for one in plan.predicates_of(item.id)]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_published_number_of_an_item_belongs_to_exactly_one_cell(paper: str) -> None:
    used = Counter(cell.published.id for cell in cells_of(paper) if cell.published)
    wanted = {number.id for number in published(paper) if number.item}
    assert wanted <= set(used) <= {number.id for number in published(paper)}
    assert set(used.values()) <= {1}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_item_has_cells_each_at_a_place_of_its_own(paper: str) -> None:
    cells = cells_of(paper)
    assert len({(cell.item, cell.row, cell.column) for cell in cells}) == len(cells)
    for item in items():
        if item.paper == paper:
            assert plan.cells_of(item.id), item.id


@pytest.mark.parametrize("paper", PAPERS)
def test_each_cell_is_measured_or_derived_or_says_why_not(paper: str) -> None:
    for cell in cells_of(paper):
        ways = (bool(cell.evaluations), bool(cell.unavailable), cell.derived is not None)
        assert sum(ways) == 1, f"{cell.item} {cell.row} {cell.column}"
        assert cell.protocol_known or cell.note
        item = find_item(cell.item)
        assert item.paper == paper
        if cell.published is not None:  # the text's numbers belong to no item
            assert cell.published.item in (item.parent or item.id, ""), cell.published.id
        for evaluation in cell.evaluations:
            known = evaluation.measurement.units(evaluation.subject)
            assert not known or cell.metric in known, f"{cell.item} {cell.row} {cell.column}"


@pytest.mark.parametrize("paper", PAPERS)
def test_claims_differ_and_are_of_the_papers_items(paper: str) -> None:
    claims = claims_of(paper)
    assert claims
    assert len({claim.text for claim in claims}) == len(claims)
    for claim in claims:
        assert find_item(claim.item).paper == paper
        assert claim.needs
        assert all(plan.shrink(full, "full", paper) is not None for full in claim.needs)


@pytest.mark.parametrize("paper", PAPERS)
def test_exactly_one_reduction_applies_to_every_evaluation(paper: str) -> None:
    """Whichever paper is asked, the same is run: a record that one of two papers has made serves the other."""
    asked = [full for cell in cells_of(paper) for full in cell.evaluations]
    for full in dict.fromkeys((*asked, *(full for claim in claims_of(paper) for full in claim.needs))):
        # A released network is measured as it is, or not at all.
        assert full.subject.defence.released or reduction_of(full, plan.reductions_of(paper)) is not None, full
        for name in profiles.NAMES:
            assert plan.shrink(full, name, paper) == plan.shrink(full, name), (full.name, full.subject.name, name)
