"""``robustlib check``: records that do not validate, certificates that an attack breaks, stale generated text."""

from __future__ import annotations

from ..environment import ROOT
from ..errors import RobustlibError
from ..experiments.store import Store, check_specification, read_weights
from ..report.soundness import inverted, unsound
from .pages import readme_text


def faults(store: Store) -> list[str]:
    """Everything that must stop the build, one line each; empty when all is sound."""
    root = store.root
    found = list(store.faults.values())
    if not found and not store.records():
        found.append(f"{root / 'results'} holds no records to check; --root or {ROOT} names the folder of results/")
    for record in store.records():
        try:
            check_specification(record, store)
        except RobustlibError as error:
            found.append(f"{record.path}: {error}")
    found += unsound(store.records()) + inverted(store.records())
    for path in sorted((root / "weights").glob("*.safetensors")):
        try:
            read_weights(path)
        except RobustlibError as error:
            found.append(f"weights/{error}")
    if found:
        # Files generated from them cannot be judged before they are sound.
        return found
    try:
        generated = readme_text(store)
    except RobustlibError as error:
        return [str(error)]
    for path, text in generated.items():
        if path.read_text(encoding="utf-8") != text:
            found.append(f"{path.name}: its generated part does not match the records; run make publish")
    return found
