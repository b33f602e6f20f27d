"""Peak memory of an evaluation of network A on the 10,000 test images, in a separate process.

python -m benchmarks.memory
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from robustlib.errors import RobustlibError

NAME = "memory"
LABEL = "PGD-40 on 10,000 images"


def row() -> dict[str, Any]:
    """``peak_mb`` of the evaluation, measured in a new process."""
    ran = subprocess.run([sys.executable, "-m", "benchmarks.memory"], capture_output=True, encoding="utf-8")
    if ran.returncode:
        raise RobustlibError(f"the evaluation in a process of its own failed: {ran.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return {"work": LABEL, "library": "robustlib"} | found


def main() -> None:
    """Evaluate, and print JSON."""
    import torch

    from robustlib.attacks.suite import Pgd
    from robustlib.data import load
    from robustlib.evaluate import outcomes_under
    from robustlib.experiments.provenance import peak_memory_mb

    from .attacks import setting
    from .works import THREAT

    torch.set_num_threads(1)
    test = load("mnist").test
    model = setting("PGD", 10).model
    attack = Pgd(steps=40, step_size=0.01)
    standing = outcomes_under(model, test, torch.arange(len(test)), attack, THREAT, name="memory", search="bfloat16")
    found = {
        "robust_accuracy": round(float(standing.mean()), 4),
        "points": len(test),
        "peak_mb": round(peak_memory_mb(torch.device("cpu"))),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
