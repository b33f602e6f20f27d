"""Canonical form of an executed notebook, and its comparison with the source."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

# Cell metadata that a source may set; all else is written by a tool at run time.
KEPT = ("tags", "mystnb", "nbval")
NOTEBOOK_METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
INJECTED = "injected-parameters"


def _identity(cell: Any, seen: Counter[str]) -> str:
    """An id from the cell's own text: an edit elsewhere in the notebook leaves it alone."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _alternative(cell: Any) -> str:
    """The alt text that figures of this cell carry in their output metadata (``display(..., metadata=)``)."""
    found = []
    for output in cell.get("outputs", []):
        for mime, metadata in output.get("metadata", {}).items():
            if mime.startswith("image/") and metadata.get("alt"):
                found.append(str(metadata["alt"]))
    return " ".join(found)


def canonical(notebook: Any, *, keep_injected: bool = False) -> tuple[Any, int]:
    """The notebook without the traces of a run, and the number of stderr outputs left out.

    Out go papermill's metadata and timings, the cell it injects, stderr, and random cell ids (new ones
    come from the text). Alt text in an image's metadata is copied to where the book looks for it.

    Args:
        notebook: an executed notebook (nbformat 4).
        keep_injected: keep the cell of injected parameters, for a notebook that was run with other
            values than its source shows.

    Returns:
        the same notebook object, changed, and a count.
    """
    seen: Counter[str] = Counter()
    cells, dropped = [], 0
    for cell in notebook.cells:
        if INJECTED in cell.metadata.get("tags", []):
            if not keep_injected:
                continue
            cell.metadata["tags"] = []
        cell.metadata = type(cell.metadata)({key: cell.metadata[key] for key in KEPT if key in cell.metadata})
        if "tags" in cell.metadata and not cell.metadata["tags"]:
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            kept = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
            dropped += len(cell.outputs) - len(kept)
            cell.outputs = kept
            alt = _alternative(cell)
            if alt and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt"):
                cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["alt"] = alt
        cell["id"] = _identity(cell, seen)
        cells.append(cell)
    count = 0
    for cell in cells:
        # Counted anew, since a cell that was dropped had a number too.
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    notebook.cells = cells
    notebook.metadata = type(notebook.metadata)(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook, dropped


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:60]


def pair_differences(source: Any, stored: Any) -> list[str]:
    """One line for each difference between a ``.py`` notebook and its stored ``.ipynb``.

    Compared are cell types, text and tags; also that the stored one was executed and holds no error,
    no stderr and no trace of papermill.
    """
    remedy = "; run `make publish`"
    faults = []
    if len(source.cells) != len(stored.cells):
        faults.append(f"{len(stored.cells)} cells, the .py has {len(source.cells)}{remedy}")
    for index, (left, right) in enumerate(zip(source.cells, stored.cells, strict=False)):
        where = f"cell {index}"
        if left.cell_type != right.cell_type or left.source.strip() != right.source.strip():
            lines = f"{_first_line(right.source)!r}, the .py has {_first_line(left.source)!r}"
            faults.append(f"{where} differs: {lines}{remedy}")
            break
        tags = [cell.metadata.get("tags", []) for cell in (left, right)]
        if tags[0] != tags[1]:
            faults.append(f"{where}: tags {tags[1]}, the .py has {tags[0]}{remedy}")
    for index, cell in enumerate(stored.cells):
        if INJECTED in cell.metadata.get("tags", []) or "papermill" in cell.metadata:
            faults.append(f"cell {index} carries papermill's marks{remedy}")
        if cell.cell_type != "code":
            continue
        if cell.source.strip() and cell.execution_count is None:
            faults.append(f"cell {index} was not executed{remedy}")
        for output in cell.outputs:
            if output.output_type == "error":
                faults.append(f"cell {index} holds an error: {output.ename}")
            elif output.output_type == "stream" and output.name == "stderr":
                faults.append(f"cell {index} holds stderr{remedy}")
    return faults
