"""Table *tissue_response*: what an action does to donors and niches, predicted from cells.

Case ``donors``: interferon beta (Kang et al., the 4,034-cell subset), as in *perturbation*: each of the 8 donors is
left out of the treated cells once. Predicted cells of the donor are summed (`scvcell.tl.perturb`, `scvcell.tl.project`)
and so are measured ones; both are compared with the sum of the donor's controls, as log1p of counts per 10,000, over
the 50 features that change most (NMAE) and all (Pearson). Row ``of the pool``: the action applied to the summed
controls, that is Delta of P z instead of P of Delta z. ``additive``: mean effect on the sums of the other donors;
``replicate``: sum of one half of the treated cells for that of the other. Coverage is of 90 % intervals of
`scvcell.tl.effects`, of features found in at least one in a hundred cells, and *agreement*
`scvcell.objective.response_agreement` with the variance of that mean: 1 is as good as the noise allows.

Cases ``same`` and ``niche``: every seed is 10 experiments of `scvcell.datasets.simulate_tissue` (2 donors, 500 cells a
section, 100 genes), in which an action shifts all cells by the same, or twice as much in every other niche and not at
all in the others. Asked is `scvcell.tl.order_effect` with ``"aggregate"``, ``by="niche"`` and 19 draws; *rejected* is
the share of experiments with p <= .05: the size of the test, and its power.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
import torch
from mudata import MuData

import scvcell
from benchmarks import local
from benchmarks.task import Output, Question, Task
from scvcell.objective import response_agreement
from scvcell.score import dense, inside, largest, log_cp10k, nmae, pearson_effect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = ("donors", "same", "niche")
FILES = {"donors": "kang18_ifnb/kang18_ifnb_mini.h5ad"}
SEEDS = (0, 1, 2)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "nmae": "NMAE (top)",
    "pearson": "Pearson of effect",
    "agreement": "agreement",
    "coverage": "coverage",
    "coverage_top": "coverage (top)",
    "kappa": "kappa",
    "null": "kappa if the same",
    "rejected": "rejected",
    "experiments": "experiments",
}
TOP = 50
FOUND = 0.01
EXPERIMENTS = 10
NICHE_EFFECT = {"same": 0.0, "niche": 1.0}
FIRST_WORLD = 2000
"""Seed of the first world that is scored; those below were seen while the test was made."""
BY = "niche"


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All cells of Kang et al.; an empty task where every seed has its own cells."""
    if case in NICHE_EFFECT:
        keys = scvcell.PerturbationKeys("action", control="control")
        return Task(MuData({}), "rna", "pools", perturbation=keys, batch_key="donor", epochs=epochs), {"case": case}
    keys = scvcell.PerturbationKeys("perturbation", control="control", context=("donor", "cell_type"))
    mdata = MuData({"rna": local.kang_ifnb(data)})
    return Task(mdata, "rna", "pools", perturbation=keys, batch_key="donor", epochs=epochs), {"case": case}


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Leave out one donor after the other, or simulate one experiment after the other."""
    if truth["case"] in NICHE_EFFECT:
        return _experiments(run, task, NICHE_EFFECT[truth["case"]], seed)
    return _donors(run, task, seed)


def _donors(run: Callable[[Task, int], Output], task: Task, seed: int) -> tuple[Output, dict]:
    adata, total = task.mdata["rna"], Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    treated = (adata.obs["perturbation"].astype(str) != "control").to_numpy()
    donor, counts = adata.obs["donor"].astype(str).to_numpy(), dense(adata.X)
    action, rng = str(adata.obs["perturbation"][treated].iloc[0]), np.random.default_rng(seed)
    sums = {name: [_bulk(counts[(donor == name) & (treated == t)]) for t in (False, True)] for name in np.unique(donor)}
    rows: dict[str, list[dict[str, float]]] = {}
    for name, (base, after) in sums.items():
        controls, left = (donor == name) & ~treated, (donor == name) & treated
        question = Question(scvcell.Action(action), adata.obs_names[controls], int(left.sum()))
        out = run(replace(task, mdata=MuData({"rna": adata[~left].copy()}), questions={name: question}), seed)
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        true = after - base
        found = {"": out.counterfactual[name], **{kind: each[name] for kind, each in out.alternatives.items()}}
        predicted = {kind: _bulk(frame[adata.var_names].to_numpy()) - base for kind, frame in found.items()}
        predicted["additive"] = np.mean([b - a for other, (a, b) in sums.items() if other != name], axis=0)
        for kind, effect in predicted.items():
            rows.setdefault(kind, []).append(_scores(effect, true))
        rows[""][-1] |= _covered(out.effects[name], counts[left], counts[controls])
        half = rng.permutation(np.flatnonzero(left))
        one, other = (_bulk(counts[part]) for part in np.array_split(half, 2))
        rows.setdefault("replicate", []).append(_scores(one - base, other - base))
    scores = {kind: pd.DataFrame(each).mean().to_dict() for kind, each in rows.items()}
    return total, scores.pop("") | {"alternatives": scores, "each": rows[""]}


def _bulk(counts: np.ndarray) -> np.ndarray:
    """log1p of counts per 10,000 of the sum of cells."""
    return log_cp10k(counts.sum(0, keepdims=True))[0]


def _scores(effect: np.ndarray, true: np.ndarray) -> dict[str, float]:
    top = largest(true, TOP)
    return {"nmae": nmae(effect[top], true[top]), "pearson": pearson_effect(effect, true)}


def _covered(effects: pd.DataFrame, treated: np.ndarray, controls: np.ndarray) -> dict[str, float]:
    """Coverage and agreement on the scale of `scvcell.tl.effects`: means of the logs of cells, to base 2."""
    after, before = (log_cp10k(x) / np.log(2) for x in (treated, controls))
    true = after.mean(0) - before.mean(0)
    held = inside(true, effects["lower"].to_numpy(), effects["upper"].to_numpy())
    found = np.concatenate([treated, controls]).astype(bool).mean(0) >= FOUND
    noise = after.var(0, ddof=1) / len(after) + before.var(0, ddof=1) / len(before)
    values = (torch.as_tensor(x[found]) for x in (effects["lfc"].to_numpy(), true, noise))
    return {
        "coverage": float(held[found].mean()),
        "coverage_top": float(held[largest(true, TOP)].mean()),
        "agreement": float(response_agreement(*values).mean()),
    }


def _experiments(run: Callable[[Task, int], Output], task: Task, niche: float, seed: int) -> tuple[Output, dict]:
    total, rows = Output(fit_seconds=0.0, fit_cpu_seconds=0.0), []
    for number in range(EXPERIMENTS):
        world = FIRST_WORLD + EXPERIMENTS * seed + number
        mdata = MuData({"rna": _section(world, niche)})
        out = run(replace(task, mdata=mdata, questions={BY: Question("A1", mdata.obs_names)}), world)
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        (row,) = out.notes[BY]
        rows.append({key: row[key] for key in ("kappa", "null", "p")} | {"rejected": float(row["p"] <= 0.05)})
    return total, pd.DataFrame(rows).mean().to_dict() | {"experiments": EXPERIMENTS, "each": rows}


def _section(world: int, niche: float) -> anndata.AnnData:
    """Cells with nothing of the truth, but for the niche in which each is."""
    cells = scvcell.datasets.simulate_tissue(500, n_genes=100, action=True, niche_effect=niche, seed=world)["cells"]
    # the two kinds of the pair's zone differ in the arrangement of their cells alone
    names = cells.obs["niche"].astype(str).replace({"mixed": "pair", "apart": "pair"})
    return anndata.AnnData(cells.X.copy(), cells.obs[["action", "donor"]].assign(niche=names), cells.var[[]].copy())
