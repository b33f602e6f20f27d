"""Provenance of a record: commit, source digest, versions, device and memory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
import resource
import subprocess
import sys
from pathlib import Path

import torch

from ..environment import PACKAGE
from ..errors import RobustlibError
from ..parameters import check_device


@functools.cache
def source_digest() -> str:
    """SHA-256 (16 digits) over the package's Python files: which code made a record."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def commit() -> str:
    """The checkout's commit, ``-dirty`` when tracked sources differ from it; "unknown" outside a checkout."""
    try:
        run = functools.partial(subprocess.run, cwd=PACKAGE, capture_output=True, encoding="utf-8", check=True)
        head = run(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "--untracked-files=no", "--", "."]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def versions() -> dict[str, str]:
    """Versions that numbers may depend on."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}


def device_name(device: torch.device) -> str:
    """``NVIDIA H200``, or the processor's model and the threads in use."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {torch.get_num_threads()} threads"


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory use so far: of the process on a CPU, of the allocator on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def resolve_device(name: str) -> torch.device:
    """``auto`` is the GPU when there is one."""
    check_device(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise RobustlibError(f"device {name!r} is not usable here; use cpu or auto") from error
