"""Kills, restarts and signals of fits, and what checkpoints cost: ``python benchmarks/faults.py [CASE ...]``.

Real processes and real signals, two of them under torchrun, on the CPUs of this machine; simulated cells.
``restart``: one of two is killed, torchrun starts both anew. ``other``: the same fit with another number of processes.
``kill``: one of two is killed from outside. ``term``, ``usr1``: seconds from a signal to the checkpoint. ``cost``: CPU
seconds of all that checkpoints do, and their size, beside the fit.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

import scvcell
from scvcell.model import _checkpoint, _fit
from scvcell.model._keeper import Keeper
from scvcell.model._optimise import TrainingPlan

warnings.filterwarnings("ignore")
CASES = ("restart", "other", "kill", "term", "usr1", "cost")
STEP_OF_KILL = 30


def cells(n: int = 2000, n_genes: int = 500) -> AnnData:
    """Sparse counts of cells of ten types."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.3, 1.0, (10, n_genes))
    return AnnData(sp.csr_matrix(rng.poisson(rate[rng.integers(10, size=n)]).astype(np.float32)))


def digest(model: scvcell.CSL) -> str:
    """Of all parameters, bit by bit."""
    found = hashlib.sha256()
    for value in model.network.state_dict().values():
        found.update(value.detach().contiguous().numpy().tobytes() if not value.is_sparse else b"")
    return found.hexdigest()[:12]


def child(folder: Path, kill: bool) -> None:
    """One fit, killed in its `STEP_OF_KILL`-th step where it is the second process at its first attempt."""
    torch.set_num_threads(1)
    if kill and os.environ.get("RANK", "1") == "1" and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        step = TrainingPlan.training_step

        def killed(self: TrainingPlan, batch: Any, index: int) -> torch.Tensor:
            if self.global_step == STEP_OF_KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch, index)

        TrainingPlan.training_step = killed  # type: ignore[method-assign]
    train = scvcell.TrainConfig(max_epochs=20, accelerator="cpu", progress=False, checkpoint=folder, patience=0)
    train = replace(train, minutes=0) if kill else train
    model = scvcell.tl.fit(cells(), train=train)
    sys.stdout.write(f"digest {digest(model)}\n")


def started(folder: Path, processes: int, *options: str, restarts: int = 0) -> subprocess.Popen[str]:
    """A fit of so many processes."""
    run = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--max-restarts", str(restarts)]
    command = [sys.executable, "-W", "ignore", *(run if processes > 1 else []), str(Path(__file__).resolve())]
    return subprocess.Popen(
        [*command, "--child", str(folder), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[list[str], list[str]]:
    """Digests that a fit printed, and what scvcell said."""
    lines = process.communicate()[0].splitlines()
    words = ("goes on", "Another process", "checkpoint")
    said = dict.fromkeys(line for line in lines if any(word in line for word in words))
    return sorted({line.split()[1] for line in lines if line.startswith("digest")}), list(said)


def say(case: str, what: str) -> None:
    """One line of the result."""
    sys.stdout.write(f"{case:<8} {what}\n")
    sys.stdout.flush()


def restart(folder: Path) -> None:
    """One of two processes is killed; torchrun starts both anew, once."""
    whole, _ = ended(started(folder / "whole", 2))
    process = started(folder / "kept", 2, "--kill", restarts=1)
    found, said = ended(process)
    say("restart", f"exit {process.returncode}, same bits {found == whole and len(found) == 1}; {' | '.join(said)}")


def other(folder: Path) -> None:
    """A fit of two that was killed goes on with one, and the other way round."""
    for first, then in ((2, 1), (1, 2)):
        kept = folder / f"{first}{then}"
        ended(started(kept, first, "--kill"))
        process = started(kept, then)
        found, said = ended(process)
        say("other", f"{first} -> {then}: exit {process.returncode}, models {len(found)}; {' | '.join(said)}")


def of_ranks(process: subprocess.Popen[str]) -> list[int]:
    """Numbers of the processes that torchrun started, the first rank first."""
    done = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in done.stdout.split()]


def waited(path: Path, newer: float = 0.0, seconds: float = 120.0) -> float:
    """Seconds until there is a file that is newer than a moment."""
    start = time.time()
    while not path.is_file() or path.stat().st_mtime <= newer:
        if time.time() - start > seconds:
            raise TimeoutError(path)
        time.sleep(0.01)
    return path.stat().st_mtime - newer


def kill(folder: Path) -> None:
    """One of two is killed from outside."""
    process = started(folder / "kept", 2)
    waited(folder / "kept" / "round-0.epoch.pt")
    start = time.time()
    os.kill(of_ranks(process)[1], signal.SIGKILL)
    _, said = ended(process)
    say("kill", f"{time.time() - start:.1f} s until torchrun was at its end; {' | '.join(said)}")


def signalled(folder: Path, case: str, number: signal.Signals) -> None:
    """Seconds from a signal to the checkpoint, of one process and of two."""
    for n in (1, 2):
        kept = folder / f"{case}{n}"
        process = started(kept, n)
        waited(kept / "round-0.epoch.pt")
        target = process.pid if n == 1 else of_ranks(process)[1]
        now = time.time()
        os.kill(target, number)
        newest = min(waited_any(kept, now), 120.0)
        found, said = ended(process)
        say(case, f"{n} processes: checkpoint after {newest:.2f} s, exit {process.returncode}, models {len(found)}")
        if said:
            say(case, said[-1])


def waited_any(kept: Path, since: float) -> float:
    """Seconds from a moment to the first file of a round that is newer."""
    while True:
        for path in kept.glob("round-0.*.pt"):
            try:
                at = path.stat().st_mtime
            except FileNotFoundError:
                continue
            if at > since:
                return at - since
        if time.time() - since > 120:
            raise TimeoutError(kept)
        time.sleep(0.005)


def cost(folder: Path) -> None:
    """CPU and wall seconds inside what checkpoints do, beside those of the fit; and their size."""
    torch.set_num_threads(1)
    spent = {"cpu": 0.0, "wall": 0.0, "depth": 0}

    def timed(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **options: Any) -> Any:
            cpu, wall = time.process_time(), time.monotonic()
            spent["depth"] += 1
            try:
                return original(*args, **options)
            finally:
                spent["depth"] -= 1
                if not spent["depth"]:
                    spent["cpu"] += time.process_time() - cpu
                    spent["wall"] += time.monotonic() - wall

        setattr(owner, name, call)

    for owner, name in (
        (_fit, "describe"),
        (_checkpoint.Checkpoint, "check"),
        (_checkpoint.Checkpoint, "set_up"),
        (_checkpoint.Checkpoint, "keep_set_up"),
        (Keeper, "asked"),
        (Keeper, "begin"),
        (Keeper, "pause"),
        (Keeper, "end"),
    ):
        timed(owner, name)
    biggest: dict[str, int] = {}
    write = _checkpoint.Checkpoint._write

    def written(self: Any, path: Path, progress: Any) -> bool:
        done = write(self, path, progress)
        biggest[path.name] = max(biggest.get(path.name, 0), path.stat().st_size)
        return done

    _checkpoint.Checkpoint._write = written  # type: ignore[method-assign]
    for n, n_genes in ((2000, 500), (12_000, 2000)):
        spent.update(cpu=0.0, wall=0.0)
        biggest.clear()
        data = cells(n, n_genes)
        train = scvcell.TrainConfig(accelerator="cpu", progress=False, checkpoint=folder / f"cost{n}")
        cpu, wall = time.process_time(), time.monotonic()
        model = scvcell.tl.fit(data, train=train)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        size = sum(p.numel() * p.element_size() for p in model.network.parameters())
        say(
            "cost",
            f"{n} x {n_genes}: CPU {100 * spent['cpu'] / (cpu - spent['cpu']):.2f} %, wall "
            f"{100 * spent['wall'] / (wall - spent['wall']):.2f} % of {cpu:.1f} CPU s; parameters {size} bytes, "
            f"files {json.dumps(biggest)}",
        )


def main() -> None:
    """Each case in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kill", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, args.kill)
        return
    for case in args.cases:
        with tempfile.TemporaryDirectory() as folder:
            if case in ("term", "usr1"):
                signalled(Path(folder), case, signal.SIGTERM if case == "term" else signal.SIGUSR1)
            else:
                {"restart": restart, "other": other, "kill": kill, "cost": cost}[case](Path(folder))


if __name__ == "__main__":
    main()
