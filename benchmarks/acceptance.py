"""What reports of risk have to cost, survive and show: `results/acceptance.csv`.

``cost``: kang18_mini along three axes, all baselines, 200 draws, a fitted model given. ``runs``: the same report by a
process that is killed five times, by two processes, by a Dask cluster, by one that loses a worker, and in another order
of tasks. ``workers``: the memory of two Dask workers that judge a model and all baselines on 100,000 cells. ``pages``:
the committed reports as pages in a headless Chromium, at the width of a phone and of a desk.

    python benchmarks/acceptance.py cost runs workers pages --data DIR
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import scvcell
from benchmarks import drugs, local
from benchmarks.environment import peak_mb
from scvcell import risk
from scvcell.risk import RiskConfig
from scvcell.risk.axes import Context, Perturbation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "results"
KILLS = 5
FOLDS = 2
MANY, DRUGS, CONTROLS, WORKER_MB = 100_000, 4, 2, 2_000
"""Cells and drugs of `workers`, how many times more controls there are than cells of a drug, and memory of a worker."""
SCALE = "scale-out 10"
SECONDS = 0.15
"""How long a task of `runs` waits, so that it can be killed in its midst."""


def kang(data: Path) -> tuple[Any, risk.Split, dict[str, Any]]:
    """Cells; a split that hides treated B cells, treated cells of one donor, and a third of all others; axes."""
    adata = local.kang_ifnb(data)
    obs = adata.obs.astype(str)
    treated = (obs["perturbation"] != "control").to_numpy()
    some = np.random.default_rng(0).random(adata.n_obs) < 1 / 3
    hidden = treated & (some | (obs["cell_type"] == "B cells") | (obs["donor"] == min(obs["donor"]))).to_numpy()
    names = adata.obs_names
    split = risk.Split(names[~hidden], names[:0], names[hidden], "treated cells of a type, a donor, and a third")
    keys = {
        name: scvcell.PerturbationKeys("perturbation", control="control", context=context)
        for name, context in (("types", "cell_type"), ("donors", "donor"), ("perturbation", ("donor", "cell_type")))
    }
    axes = {name: (Perturbation if name == "perturbation" else Context)(each) for name, each in keys.items()}
    return adata, split, {"axes": axes, "groups": ["donor"]}


def _judged(data: Path, folder: Path) -> dict[str, float]:
    """CPU seconds and MB above imports of a report on a saved model, in a process of its own."""
    before, start = peak_mb(), time.process_time()
    adata, split, asked = kang(data)
    model = scvcell.CSL.load(folder, adata)
    report = risk.evaluate(model, adata, split=split, config=RiskConfig(n_boot=200), **asked)
    text = report.to_json()
    told = report.rows.groupby("axis")["unit"].nunique()
    return {"cpu": time.process_time() - start, "mb": peak_mb() - before, "json": len(text)} | told.to_dict()


def cost(data: Path) -> Iterator[dict[str, Any]]:
    """Item 8."""
    adata, split, asked = kang(data)
    train = scvcell.TrainConfig(max_epochs=15, progress=False, accelerator="cpu")
    model = scvcell.tl.fit(adata, perturbation=asked["axes"]["perturbation"].keys, split=split, train=train)
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(Path(folder) / "model")
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = pool.submit(_judged, data, path).result()
    what = "kang18_mini, three axes, all baselines, 200 draws"
    units = ", ".join(f"{found[name]:.0f} units of {name}" for name in asked["axes"])
    yield row(8, f"{what}: CPU s", "<= 90", round(found["cpu"], 1), found["cpu"] <= 90, units)
    yield row(8, f"{what}: MB above imports", "<= 1500", round(found["mb"]), found["mb"] <= 1500, units)


@dataclass(repr=False)
class Slow(drugs.Knows):
    """Knows the effects, and takes its time."""

    def fit(self, data: Any, split: risk.Split, seed: int) -> None:
        """Wait."""
        time.sleep(SECONDS)
        super().fit(data, split, seed)


def screen(config: RiskConfig) -> risk.RiskReport:
    """The report of `runs`: a fitted model, two predictors and all baselines on four folds."""
    world = drugs.World(0, n=40, genes=20, drugs=8)
    train = scvcell.TrainConfig(max_epochs=2, progress=False, accelerator="cpu")
    model = risk.ModelPredictor(options={"perturbation": drugs.KEYS, "train": train})
    named = sorted(set(world.data.obs["drug"]) - {"no"})
    splits = [world.split(named[k::FOLDS]) for k in range(FOLDS)]
    predictors = [Slow(world, "oracle", sure=1.0), Slow(world, "half", 0.5), model]
    axes = [Perturbation(drugs.KEYS, n_partitions=2)]
    return risk.evaluate(predictors, world.data, split=splits, axes=axes, groups=["donor"], config=config)


def whole(folder: Path) -> int:
    """Records of a folder."""
    return sum(len(file.stem) == 64 for file in folder.glob("*.json")) if folder.exists() else 0


def killed(folder: Path) -> tuple[str, list[int]]:
    """The report of a process that is killed five times, each after one more record at the least; records by then."""
    moments, counts = random.Random(0), []
    code = "import sys; from benchmarks.acceptance import *; print(screen(RiskConfig(cache=sys.argv[1])).to_json())"
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    for _ in range(KILLS):
        before = whole(folder)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while whole(folder) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 3 * SECONDS))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            raise SystemExit("The run ended before it was killed: make tasks slower.")
        counts.append(whole(folder))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n"), counts


class Shuffled(Executor):
    """Works on all tasks in another order than they came."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keep the task; work begins when no other came for a second."""
        self.waiting.append((Future(), function, args))
        if len(self.waiting) == 1:
            threading.Thread(target=self._work).start()
        return self.waiting[-1][0]

    def _work(self) -> None:
        time.sleep(1)
        random.Random(1).shuffle(self.waiting)
        for future, function, args in self.waiting:
            future.set_result(function(*args))


def by_dask(folder: Path, kill: bool) -> str:
    """The report by two workers of a Dask cluster, of which one is killed after the first records."""
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster, Client(cluster) as client:
        pid = next(iter(client.run(os.getpid).values()))

        def end() -> None:
            while whole(folder) < 3:
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)

        if kill:
            threading.Thread(target=end, daemon=True).start()
        text = screen(RiskConfig(executor=client.get_executor(retries=3), cache=folder)).to_json()
        if kill and pid in client.run(os.getpid).values():
            raise SystemExit("The worker was not killed.")
    return text


def runs(data: Path) -> Iterator[dict[str, Any]]:
    """Item 9."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        serial = screen(RiskConfig(cache=at / "serial")).to_json()
        n = whole(at / "serial")
        text, counts = killed(at / "killed")
        went_on = all(b > a for a, b in zip([0, *counts], counts, strict=False)) and counts[-1] < n
        said = f"{n} tasks; whole records at each kill: {counts}"
        yield row(
            9, "SIGKILL at five moments: the same bytes", "equal", text == serial, text == serial and went_on, said
        )
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            text = screen(RiskConfig(executor=pool)).to_json()
        yield row(9, "two processes: the same bytes", "equal", text == serial, text == serial)
        text = screen(RiskConfig(executor=Shuffled())).to_json()
        yield row(9, "tasks in another order: the same bytes", "equal", text == serial, text == serial)
        for kill in (False, True):
            text = by_dask(at / f"dask {kill}", kill)
            what = "Dask, two workers" + (", one of them killed" if kill else "")
            yield row(9, f"{what}: the same bytes", "equal", text == serial, text == serial)


def workers(data: Path) -> Iterator[dict[str, Any]]:
    """Item 10 of scaling out."""
    from distributed import Client, LocalCluster

    from benchmarks.tables import scale

    (cells,) = scale.tables(*scale.counts(MANY), MANY, 1)
    given = np.random.default_rng(1).integers(DRUGS + CONTROLS, size=MANY)
    cells.obs["drug"] = np.where(given < DRUGS, np.char.add("d", given.astype(str)), "no")
    keys = scvcell.PerturbationKeys("drug", control="no", context="batch")
    names, splits = cells.obs_names, []
    for fold in range(FOLDS):
        hidden = (cells.obs["drug"] == f"d{fold}") & cells.obs["batch"].isin(["b0", "b1"])
        splits.append(risk.Split(names[~hidden], names[:0], names[hidden], "a drug in two batches"))
    train = scvcell.TrainConfig(max_epochs=1, progress=False, accelerator="cpu")
    model = risk.ModelPredictor(options={"perturbation": keys, "batch_key": "batch", "train": train})
    quiet = {"dashboard_address": None, "silence_logs": 50, "memory_limit": f"{WORKER_MB}MB"}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster, Client(cluster) as client:
        executor, before = client.get_executor(retries=0), set(client.run(os.getpid).values())
        config = RiskConfig(executor=executor, n_boot=50)
        report = risk.evaluate([model], cells, split=splits, axes=[Perturbation(keys, n_partitions=2)], config=config)
        peaks, after = client.run(peak_mb), set(client.run(os.getpid).values())
    failed = report.rows["note"].astype(str).str.startswith("failed").sum()
    asked, told = report.rows["unit"].nunique(), ", ".join(f"{mb:.0f}" for mb in peaks.values())
    said = f"{asked} units, {report.rows['predictor'].nunique()} predictors, {failed} rows failed; peaks {told} MB"
    what, most = f"Dask, {MANY:,} cells x {cells.n_vars:,} genes: MB of the larger of two workers", max(peaks.values())
    yield row(SCALE, what, f"<= {WORKER_MB}", round(most), most <= WORKER_MB and before == after and not failed, said)


def script(path: Path) -> Any:
    """A module by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def pages(data: Path) -> Iterator[dict[str, Any]]:
    """Item 10, of the committed reports."""
    tools, reads = (script(ROOT / "tests" / "risk" / name) for name in ("conftest.py", "test_page.py"))
    browser = tools.Chromium(next(filter(None, map(shutil.which, tools.PROGRAMS))))
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted((OUT / "reports").glob("*.json")):
            report = risk.RiskReport.from_json(file.read_text())
            path = Path(folder) / f"{file.stem}.html"
            text = report.to_html(path)
            numbers = reads.Reader(text).numbers
            reads.check(numbers, report)  # fails where one is another
            said, fine = [f"{len(text.encode()) / 1e3:.0f} kB", f"{len(numbers)} numbers"], len(text.encode()) <= 1.5e6
            for width, height in ((390, 844), (1440, 900)):
                browser.open(path, width, height)
                asked = [each["request"]["url"] for each in browser.of("Network.requestWillBeSent")]
                others = len([url for url in asked if not url.startswith("data:")]) - 1
                logged = len(browser.of("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"))
                over = browser.tell("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                ends = browser.tell(
                    "Math.max(...['.verdict', '#r'].map(s => document.querySelector(s).getBoundingClientRect().bottom))"
                )
                said.append(f"{width} px: {others} requests, {logged} logged, {over} px over, verdict to {ends:.0f} px")
                fine = fine and others == logged == over == 0 and ends <= height
            yield row(10, f"page of {file.stem}", "0, 0, 0, first screen", fine, fine, "; ".join(said))
    browser.close()


def row(item: int | str, what: str, threshold: str, measured: Any, holds: Any, said: str = "") -> dict[str, Any]:
    """One line of the result."""
    about = {"item": item, "what": what, "threshold": threshold, "measured": measured, "holds": bool(holds)}
    print(about, said, flush=True)
    return about | {"said": said}


PARTS = {"cost": cost, "runs": runs, "workers": workers, "pages": pages}


def main() -> None:
    """Measure, write, and fail where a threshold is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=list(PARTS))
    parser.add_argument("--data", type=Path, default=os.environ.get("SCVCELL_DATA_DIR"))
    args = parser.parse_args()
    path, found = OUT / "acceptance.csv", pd.DataFrame()
    for part in args.parts or PARTS:
        found = pd.DataFrame(PARTS[part](Path(args.data)))
        found["item"] = found["item"].astype(str)
        old = pd.read_csv(path, keep_default_na=False, dtype={"item": str}) if path.is_file() else found.iloc[:0]
        found = pd.concat([old[~old["item"].isin(found["item"])], found])
        found = found.sort_values("item", kind="stable", key=lambda items: items.str.rjust(len(SCALE)))
        found.to_csv(path, index=False)
    if not (found["holds"].astype(str) == "True").all():
        raise SystemExit("A threshold is missed.")


if __name__ == "__main__":
    main()
