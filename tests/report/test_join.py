"""Rows: what a cell says of the records that it has not."""

from __future__ import annotations

from pathlib import Path

from robustlib.experiments.store import Store
from robustlib.report.join import rows


def test_a_cell_says_where_the_authors_network_is_not_measured_yet(tmp_path: Path) -> None:
    said = {
        profile: {
            row.label
            for row in rows("zhang2019/leaderboards/mnist", profile, Store(tmp_path))
            if "on the authors' network not run yet" in row.footnotes
        }
        for profile in ("best", "quick")
    }
    assert said == {"best": {"Square Attack", "FAB", "FGSM-1,000", "FGSM-40", "AutoAttack"}, "quick": set()}
