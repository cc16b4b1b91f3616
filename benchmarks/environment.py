"""What a record says of the machine and the software. No host names, no paths."""

from __future__ import annotations

import os
import platform
import resource
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "scvcell",
    "scvi-tools",
    "torch",
    "lightning",
    "anndata",
    "mudata",
    "numpy",
    "scipy",
    "scikit-learn",
    "muon",
    "univi",
    "scmomat",
    "torch-geometric",
    "cell-eval2",
    "pertpy",
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def versions() -> dict[str, str]:
    """Versions of the packages that matter and are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _proc(path: str, key: str) -> str | None:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)


def machine() -> dict[str, str | int | float | None]:
    """Processor, cores and memory."""
    memory = _proc("/proc/meminfo", "MemTotal")
    return {
        "cpu": _proc("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.split()[0]) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def peak_mb() -> float:
    """Peak resident memory of this process in MB.

    ``VmHWM`` belongs to this program alone. ``ru_maxrss`` may contain the parent's size at the time of the fork, so it
    is used only where there is no ``/proc``.
    """
    own = _proc("/proc/self/status", "VmHWM")
    if own:
        return round(int(own.split()[0]) / 1024, 1)
    scale = 1024**2 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale, 1)


def thread_environment(threads: int) -> dict[str, str]:
    """Environment of a child pinned to `threads` threads, without a GPU."""
    pinned = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **pinned, "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}
