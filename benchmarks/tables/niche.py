"""Table *niche*: layers and domains of a section from those of others, and outcomes of donors from their tissue.

*dlpfc*: layers of one of two neighbouring Visium sections of human cortex from the other one's, both directions, spots
without a layer left out. *starmap*: domains of one of three sections of mouse cortex from the two others. The section
that is asked for is seen without its labels. Radii are fixed at 6, 18 and 36 neighbours, and every method has the same
penalised logistic head, whose penalty is chosen on left-out blocks or sections of the labelled part. *donors*: 40
simulated donors whose outcome follows from which cells are neighbours, and not from how many there are; each donor is
predicted by a head that did not see it. *permuted*: the same donors, whose outcomes are permuted 20 times over one fit
of the states. AUC is the mean of all permutations, beside their standard deviation; a single one says nothing, as the
AUC of 40 donors has a standard deviation of .09 by chance alone. One of a head that has chosen no feature is .5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score, roc_auc_score

import scvcell
from benchmarks.task import Task
from scvcell.score import accuracy

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output

SECTIONS = {"dlpfc151673": "151673", "dlpfc151674": "151674"} | {f"starmap{i}": i - 1 for i in (1, 2, 3)}
CASES = (*SECTIONS, "donors", "permuted")
DLPFC, STARMAP = "dlpfc_visium/dlpfc_{}.h5ad", "starmap_mpfc/starmap_mpfc.h5ad"
FILES = {case: DLPFC.format("151673") if case.startswith("dlpfc") else STARMAP for case in SECTIONS}
SEEDS = (0, 1, 2)
METHODS = ("components_niche", "scvcell_states", "scvcell")
SKIP = {
    (method, case): "it gives features of cells, not of donors"
    for method in ("cellcharter", "banksy")
    for case in ("donors", "permuted")
}
REFERENCE = "components_niche"
COLUMNS = {
    "accuracy": "accuracy",
    "ari": "ARI",
    "coverage": "90 % sets hold",
    "size": "classes in a set",
    "trusted": "trusted",
    "accuracy_trusted": "accuracy of trusted",
    "auc": "AUC over donors",
    "auc_spread": "sd over permutations",
}
N_DONORS, CELLS_PER_DONOR, N_PERMUTATIONS = 40, 500, 20


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Hide the labels of a section. Returns the task and the truth, which only `score` may see."""
    if case in ("donors", "permuted"):
        return _donors(case, epochs)
    if case.startswith("dlpfc"):
        parts = [anndata.read_h5ad(data / DLPFC.format(name)) for name in ("151673", "151674")]
        genes = parts[0].var_names.intersection(parts[1].var_names)
        for part in parts:
            part.obs_names = part.obs["sample"].astype(str) + "_" + part.obs_names
        full = anndata.concat([part[:, genes] for part in parts])
        section, label = full.obs["sample"].astype(str), full.obs["layer"].astype(str)
        label = label.where(label != "unassigned")
        target = section == SECTIONS[case]
    else:
        full = anndata.read_h5ad(data / STARMAP)
        section, label = full.obs["section"].astype(str), full.obs["domain"].astype(str)
        target = section == sorted(set(section))[SECTIONS[case]]
    obs = pd.DataFrame({"batch": section, "label": label.where(~target).astype("category")}, index=full.obs_names)
    rna = anndata.AnnData(sp.csr_matrix(full.X).astype(np.float32), obs=obs, var=full.var[[]].copy())
    rna.obsm["spatial"] = np.asarray(full.obsm["spatial"], dtype=float)
    truth = label[target & label.notna()]
    return Task(mudata.MuData({"rna": rna}), "rna", "label", query=truth.index, epochs=epochs), {"label": truth}


def _donors(case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Donors whose outcome every method sees, to be predicted by heads that did not see the donor."""
    cells = scvcell.datasets.simulate_tissue(CELLS_PER_DONOR, n_donors=N_DONORS, seed=1)["cells"]
    donor = cells.obs["donor"].astype(str)
    outcome = cells.obs.groupby("donor", observed=True)["outcome"].first().astype(str)
    outcome.index = outcome.index.astype(str)
    outcomes = pd.DataFrame({"label": outcome})
    if case == "permuted":
        rng, names = np.random.default_rng(0), ("label", *(f"label{i}" for i in range(1, N_PERMUTATIONS)))
        outcomes = pd.DataFrame({name: rng.permutation(outcome.to_numpy()) for name in names}, outcome.index)
    columns = {name: donor.map(outcomes[name]).astype("category") for name in outcomes}
    obs = pd.DataFrame({"batch": donor} | columns, index=cells.obs_names)
    rna = anndata.AnnData(sp.csr_matrix(cells.X).astype(np.float32), obs=obs, var=cells.var[[]].copy())
    rna.obsm["spatial"] = np.asarray(cells.obsm["spatial"])
    return Task(mudata.MuData({"rna": rna}), "rna", "donors", epochs=epochs), {"outcome": outcomes}


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """Labels of the section, or the order of donors by the probability of one outcome."""
    scores = _scores(truth, out.labels)
    return scores | {"alternatives": {name: _scores(truth, found) for name, found in out.alternatives.items()}}


def _scores(truth: dict[str, Any], found: pd.DataFrame) -> dict[str, float]:
    if "outcome" in truth:
        true = truth["outcome"]
        found = found.loc[true.index]
        each = [float(roc_auc_score(true[key] == max(true[key]), found[key])) for key in true]
        return {"auc": float(np.mean(each))} | ({"auc_spread": float(np.std(each, ddof=1))} if len(each) > 1 else {})
    true = truth["label"]
    found = found.loc[true.index]
    scores = {
        "accuracy": accuracy(found["label"], true),
        "ari": float(adjusted_rand_score(true, found["label"].astype(str))),
    }
    if "trusted" in found:
        sets, trusted = found["set"].str.split(" | ", regex=False), found["trusted"].astype(bool)
        scores |= {
            "coverage": float(np.mean([one in some for one, some in zip(true, sets, strict=True)])),
            "size": float(sets.str.len().mean()),
            "trusted": float(trusted.mean()),
            "accuracy_trusted": accuracy(found["label"][trusted], true[trusted]) if trusted.any() else float("nan"),
        }
    return scores
