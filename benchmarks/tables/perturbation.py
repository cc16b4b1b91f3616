"""Table *perturbation*: what an action does to cells that were never seen under it.

Case ``cell_types``: interferon beta (Kang et al., the 4,034-cell subset); each of B, CD14, NK and CD4 cells is left out
of the treated cells once. Case ``donors``: each of the 8 donors is. Case ``mixed_donors``: the same with the labels of
types hidden, so that a context is a donor with all types; row *no context* has the same states, and learned what
actions do without contexts; row *no context, other controls* as well, but without the controls of the donor that is
left out, whose noise is in the truth. Case ``combinations``: CRISPRa in K562 (Norman et
al.); doubles are left out in 5 folds, other doubles and all singles are seen; case ``from_singles``: all doubles at
once; case ``new_parts``: those doubles that have a part that nothing else has. Case ``targets``: 25 knock-outs in THP-1
cells (Papalexi et al.), each left out once. In both, targets are alike that interact with the same proteins (STRING,
hu.MAP, Reactome). No step sees treated cells that are left out; their controls are seen. Scores are means over what was
left out, of log1p counts per 10,000: over the 50 features that change most (``top``), the total error of the effect
over the total effect (NMAE), R2 of means and of variances, and Euclidean energy distance of 500 cells; over all
features Pearson and squared error of the effect, and how often the true effect is the nearest among all (PDS: .5 for
what does not tell them apart, less for the mean of all others, which lacks the one that is asked for). Coverage is of
90 % intervals of the effect on a pseudobulk of as many treated cells as there are, as it was measured, on the scale of
`scvcell.tl.effects`, of features that were found in at least one in a hundred of the cells (nothing can miss the effect
on a gene that is never seen, as four in five of the subset of Norman et al. are); *trusted*: share of the features that
it does not flag. *interferon first*: share of the types in which, of all hallmark gene sets, one of interferon rises
most. *STAT1 falls*: share of two knock-outs of the interferon gamma receptor's signal, JAK2 and IFNGR2, whose predicted
effect on STAT1 is below zero, and their ``size``, the sum of predicted effects over that of the true ones (IRF1 was not
measured). Beside the baselines: ``replicate``, one half of the left-out cells for the other; ``mixture``, the
non-negative mixture of the effects on all other types, or donors, that is nearest to the *true* effect in the 50
features, which nothing that only carries effects over can beat.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy.optimize import nnls
from scipy.stats import ttest_ind

import scvcell
from benchmarks import local
from benchmarks.task import Output, Question, Task
from scvcell.risk.baselines import BASELINES
from scvcell.score import (
    dense,
    discrimination,
    effect,
    energy_distance,
    inside,
    largest,
    log_cp10k,
    mse,
    nmae,
    pearson_effect,
    r2,
    variance_r2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anndata import AnnData

CASES = ("cell_types", "donors", "mixed_donors", "combinations", "from_singles", "new_parts", "targets")
FILES = {
    "cell_types": "kang18_ifnb/kang18_ifnb_mini.h5ad",
    "donors": "kang18_ifnb/kang18_ifnb_mini.h5ad",
    "mixed_donors": "kang18_ifnb/kang18_ifnb_mini.h5ad",
    "combinations": "norman19_subset/norman19_mcfaline23_subset.h5ad",
    "from_singles": "norman19_subset/norman19_mcfaline23_subset.h5ad",
    "new_parts": "norman19_subset/norman19_mcfaline23_subset.h5ad",
    "targets": "papalexi21_eccite_thp1/papalexi21_eccite_thp1.h5mu",
}
SEEDS = (0, 1, 2)
METHODS = ("effect_baselines", "latent_additive", "cpa", "scgen", "scvcell")
_NEW = "it knows nothing of a target that was not seen"
SKIP = {
    **dict.fromkeys(
        (("scgen", case) for case in ("combinations", "from_singles")),
        "it has one vector per action, none for a combination that was not seen",
    ),
    **{(method, case): _NEW for method in ("latent_additive", "cpa", "scgen") for case in ("new_parts", "targets")},
}
SKIP |= {(method, "mixed_donors"): "this case asks what contexts are worth" for method in METHODS[1:4]}
REFERENCE = "scvcell"
COLUMNS = {
    "nmae": "NMAE (top)",
    "r2_mean": "R2 of means (top)",
    "r2_variance": "R2 of variances (top)",
    "energy": "energy distance (top)",
    "pearson": "Pearson of effect",
    "mse": "squared error x 1000",
    "pds": "PDS",
    "pearson_both": "Pearson, both parts seen",
    "mse_both": "squared error, both",
    "pearson_one": "Pearson, one part seen",
    "mse_one": "squared error, one",
    "interferon": "interferon first",
    "signal": "STAT1 falls",
    "signal_size": "size",
    "coverage": "coverage",
    "coverage_top": "coverage (top)",
    "trusted": "trusted",
}
HELD_OUT = ("B cells", "CD14+ Monocytes", "NK cells", "CD4 T cells")
TOP, SET, FOLDS = 50, 500, 5
FOUND = 0.01
"""Share of the cells, treated or not, in which a feature has to be found for its interval to count."""
CONTROLS = {"targets": "non-targeting"}
DOUBLES = ("combinations", "from_singles", "new_parts")
CONTEXT = {"cell_types": "cell_type", "donors": "donor", "mixed_donors": "donor"}
"""Column whose values are left out."""
SIGNAL, READ_BY = ("JAK2", "IFNGR2"), ["STAT1"]
PARTNERS, HALLMARKS = "priors/gene_pairs_string_humap_reactome.parquet", "priors/msigdb_hallmark_human.gmt"


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """All cells; what is left out when, is for `evaluate`."""
    load = {"targets": local.papalexi_eccite} | dict.fromkeys(DOUBLES, local.norman_crispra)
    adata = load.get(case, local.kang_ifnb)(data)
    context = {"cell_types": "cell_type", "donors": ("donor", "cell_type"), "mixed_donors": "donor"}.get(case, ())
    keys = scvcell.PerturbationKeys("perturbation", control=CONTROLS.get(case, "control"), context=context)
    names = {part for name in set(adata.obs["perturbation"]) for part in name.split("+")}
    table = partners(data, sorted(names)) if case in ("new_parts", "targets") else None
    task = Task(
        mdata=MuData({"rna": adata}), source="rna", target="rna", perturbation=keys, kernel=table, epochs=epochs
    )
    task = replace(task, pooled=case == "mixed_donors")
    return task, {"case": case, "hallmarks": hallmarks(data, adata.var_names) if case == "cell_types" else {}}


def hallmarks(data: Path, genes: pd.Index) -> dict[str, np.ndarray]:
    """Which of the genes are in each hallmark gene set of at least 5 of them."""
    lines = (line.strip().split("\t") for line in (data / HALLMARKS).read_text().splitlines())
    sets = {name: genes.isin(members) for name, _, *members in lines}
    return {name: inside for name, inside in sets.items() if inside.sum() >= 5}


def interferon_first(effect: np.ndarray, sets: dict[str, np.ndarray]) -> float:
    """1 if of all gene sets one of the two of interferon stands out most (t of its genes against the others)."""
    t = {name: ttest_ind(effect[inside], effect[~inside], equal_var=False).statistic for name, inside in sets.items()}
    return float("INTERFERON" in max(t, key=lambda name: t[name]))


def partners(data: Path, names: list[str]) -> pd.DataFrame:
    """Which proteins each target interacts with, itself included."""
    pairs = pd.read_parquet(data / PARTNERS)[["entity1", "entity2"]].to_numpy(str)
    pairs = np.concatenate([pairs, pairs[:, ::-1], np.repeat(np.array(names)[:, None], 2, axis=1)])
    pairs = pairs[np.isin(pairs[:, 0], names)]
    return pd.crosstab(pairs[:, 0], pairs[:, 1]).clip(upper=1).astype(float)


def folds(adata: AnnData, case: str) -> Iterator[dict[str, np.ndarray]]:
    """Name -> cells of each condition that is left out, fold by fold."""
    label = adata.obs["perturbation"].astype(str).to_numpy()
    treated = label != CONTROLS.get(case, "control")
    if case not in CONTEXT:
        names = {name for name in label[treated] if "+" in name or case == "targets"}
        order = np.random.default_rng(0).permutation(sorted(names))
        n = 1 if case == "from_singles" else FOLDS if case in DOUBLES else len(order)
        for fold in range(n):
            yield {name: label == name for name in order[fold::n]}
        return
    column = adata.obs[CONTEXT[case]].astype(str).to_numpy()
    for name in HELD_OUT if case == "cell_types" else np.unique(column):
        yield {name: (column == name) & treated}


def answers(
    run: Callable[[Task, int], Output], task: Task, case: str, seed: int
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray], Output]]:
    """Fit once per fold: cells of each condition that was left out and can be asked for, its controls, the answers."""
    adata = task.mdata["rna"]
    label = adata.obs["perturbation"].astype(str).to_numpy()
    for left in folds(adata, case):
        out_of = np.logical_or.reduce(list(left.values()))
        questions, controls = {}, {}
        for name, cells in left.items():
            action = label[cells][0]
            parts = action.split("+")
            known = {part for other in set(label[~out_of]) for part in other.split("+")}
            if case in DOUBLES and known.issuperset(parts) == (case == "new_parts"):
                continue
            column = adata.obs[CONTEXT.get(case, "perturbation")].astype(str)
            untreated = label == CONTROLS.get(case, "control")
            controls[name] = untreated & ((column == name).to_numpy() | (case not in CONTEXT))
            questions[name] = Question(scvcell.Action(action), adata.obs_names[controls[name]], int(cells.sum()))
        seen = adata[~out_of].copy()
        out = run(replace(task, mdata=MuData({"rna": seen}), questions=questions), seed)
        yield {name: left[name] for name in questions}, controls, out


def evaluate(run: Callable[[Task, int], Output], task: Task, truth: dict[str, Any], seed: int) -> tuple[Output, dict]:
    """Fit once per fold, score every condition that was left out."""
    adata, case = task.mdata["rna"], truth["case"]
    counts = dense(adata.X)
    values, label = log_cp10k(counts), adata.obs["perturbation"].astype(str).to_numpy()
    keys = replace(task.perturbation, context=CONTEXT.get(case, ()))
    design = scvcell.perturb.read_design(keys, lambda column: adata.obs[column])
    singles = {name for name in label if "+" not in name}
    rows: dict[str, list[dict[str, float]]] = {}
    effects: dict[str, dict[str, np.ndarray]] = {}
    truths: dict[str, dict[str, np.ndarray]] = {"": {}, "replicate": {}}
    total = Output(fit_seconds=0.0, fit_cpu_seconds=0.0)
    for left, controls, out in answers(run, task, case, seed):
        total.fit_seconds += out.fit_seconds
        total.fit_cpu_seconds += out.fit_cpu_seconds
        for name in left:
            y, base = values[left[name]], values[controls[name]]
            found = {"": out.counterfactual, **out.alternatives}
            predicted = {kind: frames[name].to_numpy() for kind, frames in found.items() if name in frames}
            for kind, p in predicted.items():
                scored = score(y, base, p)
                if truth["hallmarks"] and np.ptp(p.mean(0) - base.mean(0)) > 0:
                    scored["interferon"] = interferon_first(p.mean(0) - base.mean(0), truth["hallmarks"])
                if kind == "" and name in out.effects:
                    scored |= coverage(out.effects[name], y, base)
                rows.setdefault(kind, []).append(with_parts(scored, name, singles, case))
                effects.setdefault(kind, {})[name] = p.mean(0) - base.mean(0)
            truths[""][name] = y.mean(0) - base.mean(0)
            if "additive" in out.alternatives:
                half = np.zeros(len(label), bool)
                half[np.random.default_rng(seed).permutation(np.flatnonzero(left[name]))[: len(y) // 2]] = True
                action, cells = scvcell.Action(label[left[name]][0]), np.flatnonzero(controls[name])
                again = BASELINES["replicate"](values, design, half, action, cells)
                rest = values[left[name] & ~half]
                scored = score(rest, base, again)
                rows.setdefault("replicate", []).append(with_parts(scored, name, singles, case))
                effects.setdefault("replicate", {})[name] = again.mean(0) - base.mean(0)
                truths["replicate"][name] = rest.mean(0) - base.mean(0)
                if case in CONTEXT:
                    shift = mixture(values, adata.obs[CONTEXT[case]].astype(str).to_numpy(), label != "control", name)
                    rows.setdefault("mixture", []).append(score(y, base, base + shift))
    scores = {kind: pd.DataFrame(each).mean().to_dict() for kind, each in rows.items()}
    if case == "targets":
        at = adata.var_names.get_indexer(READ_BY)
        for kind, found in effects.items():
            aim = truths.get(kind, truths[""])
            scores[kind]["pds"] = discrimination(*(np.array([of[name] for name in aim]) for of in (found, aim)))
            change, true = (np.stack([of[name][at] for name in SIGNAL]) for of in (found, aim))
            scores[kind] |= {"signal": float((change < 0).mean()), "signal_size": float(change.sum() / true.sum())}
    main = scores.pop("", {})
    return total, main | {"alternatives": scores, "each": rows.get("", [])}


def mixture(values: np.ndarray, group: np.ndarray, treated: np.ndarray, name: str) -> np.ndarray:
    """Non-negative mixture of the effects on other groups that is nearest to the true one where that is largest."""

    def effect(of: str) -> np.ndarray:
        return values[(group == of) & treated].mean(0) - values[(group == of) & ~treated].mean(0)

    others, true = np.array([effect(of) for of in np.unique(group) if of != name]), effect(name)
    top = np.argsort(-np.abs(true))[:TOP]
    return nnls(others[:, top].T, true[top])[0] @ others


def with_parts(scored: dict[str, float], name: str, singles: set[str], case: str) -> dict[str, float]:
    """Scores of a double once more under how many of its parts were seen alone."""
    if case not in DOUBLES:
        return scored
    seen = {2: "both", 1: "one"}.get(sum(part in singles for part in name.split("+")))
    return scored | ({f"{key}_{seen}": scored[key] for key in ("pearson", "mse")} if seen else {})


def score(y: np.ndarray, base: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Scores of predicted cells `p` against true ones `y`, whose controls are `base`."""
    true, predicted = effect(y, base), effect(p, base)
    top = largest(true, TOP)
    rng = np.random.default_rng(0)
    a, b = (x[rng.permutation(len(x))[:SET]][:, top] for x in (p, y))
    return {
        "nmae": nmae(predicted[top], true[top]),
        "r2_mean": r2(p.mean(0)[top], y.mean(0)[top]),
        "r2_variance": variance_r2(p, y, top),
        "energy": energy_distance(a, b, unbiased=False),
        "pearson": pearson_effect(predicted, true),
        "mse": mse(predicted, true) * 1e3,
    }


def coverage(effects: pd.DataFrame, treated: np.ndarray, controls: np.ndarray) -> dict[str, float]:
    """Share of measured effects that lie in their intervals, of features that are found, and of what is not flagged."""
    true = (treated.mean(0) - controls.mean(0)) / np.log(2)
    held = inside(true, effects["lower"].to_numpy(), effects["upper"].to_numpy())
    found, top = np.concatenate([treated, controls]).astype(bool).mean(0) >= FOUND, largest(true, TOP)
    trusted = float(effects["trusted"].mean())
    return {"coverage": float(held[found].mean()), "coverage_top": float(held[top].mean()), "trusted": trusted}
