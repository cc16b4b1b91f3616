"""Table *conditions*: bulk samples of drugs, whose combinations, times and doses were never seen.

Cases ``pairs`` and ``pairs_from_singles``: 66 pairs of 12 drugs on a melanoma line (Korkut et al., 82 proteins and 5
phenotypes, one sample each); pairs are left out in 6 folds, or all at once. Cases ``time_8h``, ``time_24h`` and
``top_dose``: 73 compounds on human hepatocytes (Open TG-GATEs, 196 genes, two samples each); of a fifth of the
compounds, in turn, all samples at 8 h, at 24 h or at the highest dose are left out, where others of them are left.
Cases ``plate_between`` and ``plate_top``: 58 compounds at six doses on A549 cells (LINCS Cell Painting, one plate, 454
features, one well each); of a fifth of the compounds the second highest or the highest dose is left out. Cases
``compounds`` and ``plate_compounds``: a fifth of the compounds whose structure is known are left out altogether; Morgan
fingerprints say which compounds are alike. Doses are given as shares of the highest one that was planned.

Scores of the effect on every condition left out: total squared error over the total square (NMSE), mean Pearson,
coverage of 90 % intervals, also of the 10 features that change most (``top``) and of the 10 that are predicted to
(``predicted``); *told*: how often intervals held the 10 strongest effects that were left out in training, as
`scvcell.tl.effects` tells; *width*: mean width over the mean size of a true effect; *trusted*: share of what
`scvcell.tl.effects` does not flag. Baselines beside it: no change (``control``), the
mean of what was seen under the same dose and time or of the pairs (``mean``), the sum of single effects at the same
doses (``additive``), the effect of the same compound at the nearest dose and time (``nearest``), and the latter with
weights learned on what was not left out (``scaled``; ``stack`` with the mean), and ridge regression on compounds (or
fingerprints), doses and times and their products (``ridge``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from sklearn.linear_model import RidgeCV

import scvcell
from benchmarks import local
from benchmarks.task import Output, Question, Task
from scvcell.score import coverage_chosen, coverage_strongest, inside, nmse, pearson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PAIRS = ("pairs", "pairs_from_singles")
PLATE = ("plate_between", "plate_top", "plate_compounds")
COMPOUNDS = ("compounds", "plate_compounds")
CASES = (*PAIRS, "time_8h", "time_24h", "top_dose", "compounds", *PLATE)
KORKUT = "korkut15_skmel133_drugpairs/korkut15_skmel133_drugpairs.h5ad"
TGGATES = "tggates_hepatocyte_dose_time/tggates_hepatocyte_dose_time.h5ad"
LINCS = "lincs_cellpainting_a549_plate/lincs_cellpainting_a549_plate.h5ad"
DRUGS = ("priors/drug_repurposing_moa_target_smiles.parquet", "priors/lincs_drugs_smiles.parquet")
FILES = {case: KORKUT if case in PAIRS else LINCS if case in PLATE else TGGATES for case in CASES}
SEEDS = (0, 1, 2)
METHODS = ("scvcell",)
REFERENCE = "scvcell"
COLUMNS = {
    "nmse": "NMSE",
    "pearson": "Pearson of effect",
    "coverage": "coverage",
    "coverage_top": "coverage (top)",
    "told": "told (top)",
    "coverage_predicted": "coverage (predicted)",
    "width": "width",
    "trusted": "trusted",
}
TOP = 10
ALPHAS = np.logspace(-1, 5, 13)
BITS = 1024


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All samples; what is left out when, is for `evaluate`."""
    table = None
    if case in PAIRS:
        adata = local.korkut_drug_pairs(data)
        adata.obs["context"] = "all"
    else:
        adata = plate(data) if case in PLATE else local.tggates_hepatocytes(data)
        top = adata.obs.groupby("compound", observed=True)["dose"].transform("max")
        adata.obs["dose"] = adata.obs["dose"] / top.where(top > 0, 1)
        if case not in PLATE:
            adata.obs["context"] = adata.obs["compound"].astype(str) + " " + adata.obs["time_h"].astype(str)
        if case in COMPOUNDS:
            table = fingerprints(data, adata.obs["compound"].astype(str).unique())
    time = "time_h" if "time_h" in adata.obs else None
    keys = scvcell.PerturbationKeys("perturbation", control="control", dose="dose", time=time, context="context")
    whole = Task(
        mdata=MuData({"profile": adata}),
        source="profile",
        target="profile",
        scale="identity",
        perturbation=keys,
        kernel=table,
        epochs=epochs,
    )
    return whole, {"case": case, "structure": table}


def plate(data: Path) -> AnnData:
    """Wells of one plate: ``perturbation``, ``compound``, ``dose`` and one ``context``."""
    raw = anndata.read_h5ad(data / LINCS)
    compound = raw.obs["Metadata_pert_id"].astype(str).to_numpy()
    untreated = (raw.obs["Metadata_broad_sample"] == "DMSO").to_numpy()
    columns = {"perturbation": np.where(untreated, "control", compound), "dose": raw.obs["dose_uM"].to_numpy(float)}
    columns |= {"compound": np.where(untreated, "control", compound), "context": "all"}
    return AnnData(raw.X, obs=pd.DataFrame(columns, index=raw.obs_names), var=pd.DataFrame(index=raw.var_names))


def fingerprints(data: Path, names: Iterable[str]) -> pd.DataFrame:
    """Morgan fingerprints of the compounds whose structure is known, by name or by identifier."""
    from rdkit import Chem, RDLogger
    from rdkit.Chem import rdFingerprintGenerator

    RDLogger.DisableLog("rdApp.*")
    smiles: dict[str, str] = {}
    for path in DRUGS:
        table = pd.read_parquet(data / path).dropna(subset="smiles")
        for column in ("pert_iname", "broad_id"):
            if column in table:
                keys = table[column].astype(str).str[:13] if column == "broad_id" else plain(table[column])
                smiles = dict(zip(keys, table["smiles"], strict=True)) | smiles
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)
    rows = {}
    for name in names:
        found = smiles.get(name, smiles.get(plain(pd.Series([name])).iloc[0]))
        molecule = None if found is None else Chem.MolFromSmiles(found)
        if molecule is not None:
            rows[name] = make.GetFingerprintAsNumPy(molecule).astype(float)
    return pd.DataFrame.from_dict(rows, orient="index")


def plain(names: pd.Series) -> pd.Series:
    """Names in lower case, letters and digits only."""
    return names.astype(str).str.lower().str.replace("[^a-z0-9]", "", regex=True)


def conditions(adata: AnnData) -> pd.DataFrame:
    """Every treated condition: its obs, its measured ``effect``, and names of its ``controls``."""
    values = pd.DataFrame(np.asarray(adata.X, float), index=adata.obs_names)
    obs = adata.obs.astype({"perturbation": str, "context": str})
    rows = []
    for (context, target, dose), group in obs[obs["perturbation"] != "control"].groupby(
        ["context", "perturbation", "dose"]
    ):
        controls = obs.index[(obs["context"] == context) & (obs["perturbation"] == "control")]
        effect = values.loc[group.index].mean().to_numpy() - values.loc[controls].mean().to_numpy()
        parts = target.split("+")
        doses = dict(zip(parts, map(float, str(dose).split("+")), strict=True))
        action = scvcell.Action(doses, group["time_h"].iloc[0] if "time_h" in group else None)
        rows.append(group.iloc[0].to_dict() | {"effect": effect, "controls": controls, "action": action})
        rows[-1] |= {"cells": group.index, "n_parts": len(parts)}
    every = pd.DataFrame(rows)
    every["hours"] = np.log2(every["time_h"]) if "time_h" in every else 0.0
    if "compound" in every:
        every["rank"] = every.groupby("compound")["dose"].rank(method="dense", ascending=False).astype(int) - 1
    return every


def hidden(every: pd.DataFrame, case: str) -> np.ndarray:
    """Conditions that are left out of a compound in turn."""
    return {
        "time_8h": every["hours"] == 3,
        "time_24h": every["hours"] == np.log2(24),
        "top_dose": every["rank"] == 0,
        "plate_top": every["rank"] == 0,
        "plate_between": every["rank"] == 1,
    }.get(case, every["rank"] >= 0).to_numpy()


def folds(every: pd.DataFrame, truth: dict[str, Any], seed: int) -> Iterator[np.ndarray]:
    """Which conditions are left out, fold by fold."""
    case = truth["case"]
    rng = np.random.default_rng(seed)
    if case in PAIRS:
        pairs = np.flatnonzero(every["n_parts"] == 2)
        number = rng.permutation(len(pairs)) % (6 if case == "pairs" else 1)
        for fold in range(number.max() + 1):
            yield np.isin(np.arange(len(every)), pairs[number == fold])
        return
    at = hidden(every, case)
    named = every["compound"].unique() if truth["structure"] is None else truth["structure"].index
    compounds = rng.permutation(np.array(sorted(set(every["compound"]) & set(named))))
    for fold in range(5):
        left = every["compound"].isin(compounds[fold::5]).to_numpy() & at
        seen = every["compound"].isin(every["compound"][~left]).to_numpy()
        yield left if case in COMPOUNDS else left & seen


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit once per fold, score every condition that was left out."""
    adata, case = task.mdata["profile"], truth["case"]
    every = conditions(adata)
    predictors = pair_baselines if case in PAIRS else compound_baselines if case in COMPOUNDS else dose_baselines
    found: dict[str, list[np.ndarray]] = {}
    true, ends, trusted, told = [], [], [], []
    total = Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    for left in folds(every, truth, seed):
        gone = np.concatenate(every["cells"][left].to_list())
        questions = {str(i): Question(every["action"][i], every["controls"][i]) for i in np.flatnonzero(left)}
        seen = adata[~adata.obs_names.isin(gone)].copy()
        out = run(replace(task, mdata=MuData({"profile": seen}), questions=questions), seed)
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        y = np.stack(every["effect"][left])
        answers = [out.effects[name] for name in questions]
        true.append(y)
        found.setdefault("", []).append(np.stack([answer["lfc"] for answer in answers]))
        lower, upper = (np.stack([answer[side] for answer in answers]) for side in ("lower", "upper"))
        ends.append((lower, upper))
        trusted += [answer["trusted"].mean() for answer in answers]
        told += [answer["held_strongest"].iloc[0] for answer in answers]
        for kind, predicted in predictors(every, left, truth).items():
            found.setdefault(kind, []).append(predicted)
    y, (lower, upper) = np.concatenate(true), map(np.concatenate, zip(*ends, strict=True))
    scores = {kind: score(y, np.concatenate(parts)) for kind, parts in found.items()}
    main = scores.pop("") | {
        "coverage": float(inside(y, lower, upper).mean()),
        "coverage_top": float(np.mean(coverage_strongest(y, lower, upper, TOP))),
        "told": float(np.mean(told)),
        "coverage_predicted": float(np.mean(coverage_chosen(y, lower, upper, TOP))),
        "width": float((upper - lower).mean() / np.abs(y).mean()),
        "trusted": float(np.mean(trusted)),
    }
    return total, {key: value for key, value in main.items() if np.isfinite(value)} | {"alternatives": scores}


def score(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Scores of predicted effects, ``(conditions, features)``."""
    each = [pearson(true, found) if found.std() > 0 else 0.0 for true, found in zip(y, predicted, strict=True)]
    return {"nmse": nmse(predicted, y), "pearson": float(np.mean(each))}


def pair_baselines(every: pd.DataFrame, left: np.ndarray, truth: dict[str, Any]) -> dict[str, np.ndarray]:
    """Predicted effects of pairs, ``(left out, features)`` by baseline."""
    singles = every[every["n_parts"] == 1]

    def alone(target: str, dose: float | None) -> np.ndarray:
        mine = singles[singles["perturbation"] == target]
        same = mine[[action.doses[target] == dose for action in mine["action"]]]
        return np.mean((same if len(same) else mine)["effect"].to_list(), axis=0)

    def additive(rows: pd.DataFrame) -> np.ndarray:
        return np.stack([sum(alone(t, d) for t, d in action.doses.items()) for action in rows["action"]])

    total = additive(every[left])
    out = {"control": 0 * total, "additive": total}
    seen = every[~left & (every["n_parts"] == 2)]
    if len(seen):
        y, x = np.stack(seen["effect"]), additive(seen)
        out |= {"mean": 0 * total + y.mean(0), "scaled": total * (x * y).sum() / (x**2).sum()}
    return out


def alike(every: pd.DataFrame, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean effect of other compounds at the same dose and time, ``(rows, features)``."""
    compound, level, hours = (every[name].to_numpy() for name in ("compound", "rank", "hours"))
    y = np.stack(every["effect"])
    same = [known & (compound != compound[i]) & (level == level[i]) & (hours == hours[i]) for i in rows]
    return np.stack([y[at if at.any() else known].mean(0) for at in same])


def ridge(every: pd.DataFrame, left: np.ndarray, describe: pd.DataFrame) -> np.ndarray:
    """Ridge regression on dose and time, what describes the compounds, and their products, ``(left out, features)``."""
    own = describe.loc[every["compound"]].to_numpy(float)
    setting = np.stack([-every["rank"].to_numpy(float), every["hours"].to_numpy(float)], 1)
    setting -= setting[~left].mean(0)
    x = np.concatenate([setting, own, *(own * column[:, None] for column in setting.T)], 1)
    y = np.stack(every["effect"])
    return RidgeCV(ALPHAS).fit(x[~left], y[~left]).predict(x[left])


def compound_baselines(every: pd.DataFrame, left: np.ndarray, truth: dict[str, Any]) -> dict[str, np.ndarray]:
    """Predicted effects of compounds that were never seen, ``(left out, features)`` by baseline."""
    mean = alike(every, np.flatnonzero(left), ~left)
    table = truth["structure"].reindex(every["compound"].unique(), fill_value=0.0)
    return {"control": 0 * mean, "mean": mean, "ridge": ridge(every, left, table)}


def dose_baselines(every: pd.DataFrame, left: np.ndarray, truth: dict[str, Any]) -> dict[str, np.ndarray]:
    """Predicted effects at doses and times, ``(left out, features)`` by baseline; weights from the other compounds."""
    level, hours, compound = (every[name].to_numpy() for name in ("rank", "hours", "compound"))
    y, at, names = np.stack(every["effect"]), hidden(every, truth["case"]), every["compound"].unique()

    def nearest(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        found = []
        for i in rows:
            mine = np.flatnonzero(known & (compound == compound[i]))
            apart = np.abs(level[mine] - level[i]) + np.abs(hours[mine] - hours[i])
            found.append(y[mine[apart.argmin()]])
        return np.stack(found)

    asked = np.flatnonzero(left)
    near, mean = nearest(asked, ~left), alike(every, asked, ~left)
    partners = np.isin(compound, compound[~left & ~at])
    rows = np.flatnonzero(~left & at & partners & ~np.isin(compound, compound[left]))
    x_near, x_mean = nearest(rows, ~left & ~at), alike(every, rows, ~left)
    design = np.stack([x_near.ravel(), x_mean.ravel()], 1)
    weights = np.linalg.lstsq(design, y[rows].ravel(), rcond=None)[0]
    scale = (x_near * y[rows]).sum() / (x_near**2).sum()
    return {
        "control": 0 * near,
        "mean": mean,
        "nearest": near,
        "scaled": scale * near,
        "stack": weights[0] * near + weights[1] * mean,
        "ridge": ridge(every, left, pd.DataFrame(np.eye(len(names)), index=names)),
    }
