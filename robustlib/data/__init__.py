"""Datasets as verified arrays on a device: ``load("mnist")``, and the fixed subsets that evaluations use."""

from __future__ import annotations

from robustlib.data.dataset import Dataset, Split, balanced_subset
from robustlib.data.loading import Report, Row, fetch_dataset, list_datasets, load, verify
from robustlib.data.prepared import data_root
from robustlib.data.registry import NAMES

__all__ = [
    "NAMES",
    "Dataset",
    "Report",
    "Row",
    "Split",
    "balanced_subset",
    "data_root",
    "fetch_dataset",
    "list_datasets",
    "load",
    "verify",
]
