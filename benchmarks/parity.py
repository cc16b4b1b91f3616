"""Formulas beside other packages': ``python benchmarks/parity.py``, in an environment of its own (see README.md).

Simulated inputs are scored by cell-eval2, scoringrules, decoupler, scib-metrics and crepes. Inputs and what these
packages say of them go to ``results/parity.json``, which a test holds `scvcell.score` against without the packages; the
differences go to ``results/parity.csv``.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scvcell import score
from scvcell._stats import conformal_quantile

RESULTS = Path(__file__).parent / "results"
DEPTH = 5e4
"""Counts to which cell-eval2 brings its sums of cells."""
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def bulks(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """log1p of summed counts at one depth; the control is the first row."""
    return [np.log1p(x / x.sum(1, keepdims=True) * DEPTH) for x in (inputs["predicted"], inputs["true"])]


def changes(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Differences of bulks from their own control."""
    return [x[1:] - x[:1] for x in bulks(inputs)]


def per_condition(formula: Any, pair: list[np.ndarray]) -> list[float]:
    return [float(formula(p, t)) for p, t in zip(*pair, strict=True)]


def states(inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Cells of two assays, and their labels."""
    x, labels = inputs["states"], inputs["labels"]
    return x[::2], x[1::2], labels[::2], labels[1::2]


OURS: dict[str, Any] = {
    "delta_pearson": lambda x: per_condition(score.pearson_effect, changes(x)),
    "expr_mae": lambda x: per_condition(score.mae, [b[1:] for b in bulks(x)]),
    "expr_mse": lambda x: per_condition(score.mse, [b[1:] for b in bulks(x)]),
    "pds_cosine": lambda x: score.discrimination(*changes(x)),
    "pds_l2": lambda x: score.discrimination(*changes(x), distance="euclidean"),
    "pds_l1": lambda x: score.discrimination(*changes(x), distance="manhattan"),
    "pds_cosine, all predictions the same": lambda x: score.discrimination(*changes(x)),
    "lfc_nmae": lambda x: score.nmae_significant(x["predicted"], x["true"], x["p_adj"] < 0.05),
    "ulm": lambda x: score.ulm(x["values"], x["weights"]),
    "crps_ensemble": lambda x: score.crps(x["truth"], x["draws"], unbiased=False),
    "crps_ensemble, fair": lambda x: score.crps(x["truth"], x["draws"]),
    "crps_quantile": lambda x: score.crps_quantiles(x["truth"], x["quantiles"], LEVELS),
    "es_ensemble": lambda x: score.energy_score(x["truth"], x["draws"], unbiased=False),
    "es_ensemble, fair": lambda x: score.energy_score(x["truth"], x["draws"]),
    "interval_score": lambda x: score.interval_score(x["truth"], x["quantiles"][0], x["quantiles"][-1], 0.9),
    "silhouette_label": lambda x: score.silhouette(*states(x)),
    "half-width at 50 %": lambda x: conformal_quantile(x["scores"], 0.5),
    "half-width at 90 %": lambda x: conformal_quantile(x["scores"], 0.9),
    "half-width at 95 %": lambda x: conformal_quantile(x["scores"], 0.95),
}
"""What a package calls it -> the same by `scvcell.score`, a function of the inputs."""
TOLERANCE = {"cell-eval2": 1e-6, "scoringrules": 1e-12, "decoupler": 1e-10, "scib-metrics": 1e-6, "crepes": np.inf}
"""Largest difference, relative or absolute. Of crepes, which is one rank too wide at 90 %: one rank."""


def within(name: str, package: str, inputs: dict[str, np.ndarray], theirs: Any) -> tuple[float, bool]:
    """Largest difference between both, and whether it is small enough."""
    ours, other = np.asarray(OURS[name](inputs), dtype=float), np.asarray(theirs, dtype=float)
    far = float((np.abs(ours - other) / np.maximum(np.abs(other), 1.0)).max())
    if package == "crepes":
        ranks = np.searchsorted(np.sort(inputs["scores"]), [ours, other])
        return far, abs(int(ranks[0]) - int(ranks[1])) <= 1
    return far, bool(ours.shape == other.shape and far <= TOLERANCE[package])


def inputs() -> dict[str, dict[str, np.ndarray]]:
    """What is scored, by package."""
    rng = np.random.default_rng(0)
    base = rng.gamma(1.0, 20.0, 40)
    rate = base * np.exp(np.vstack([np.zeros(40), 0.5 * rng.normal(size=(6, 40))]))
    true = rng.poisson(rate)
    predicted = rng.poisson(np.sqrt(rate * base) * np.exp(0.3 * rng.normal(size=rate.shape)))
    lfc = np.round(rng.normal(size=(3, 40)), 3)
    truth = np.round(rng.normal(size=(12, 3)), 3)
    draws = np.round(0.6 * truth + rng.normal(size=(15, 12, 3)), 3)
    return {
        "cell-eval2": {"true": true, "predicted": predicted},
        "cell-eval2, same": {"true": true, "predicted": np.vstack([predicted[:1], np.tile(predicted[1], (6, 1))])},
        "cell-eval2, changes": {
            "true": lfc,
            "predicted": np.round(0.5 * lfc + 0.4 * rng.normal(size=lfc.shape), 3),
            "p_adj": np.round(rng.random(lfc.shape) * 0.15, 3),
        },
        "decoupler": {
            "values": np.round(rng.normal(size=(4, 40)), 3),
            "weights": np.round(rng.normal(size=(40, 3)) * (rng.random((40, 3)) < 0.4), 2),
        },
        "scoringrules": {"truth": truth, "draws": draws, "quantiles": np.quantile(draws, LEVELS, axis=0)},
        "crepes": {"scores": np.round(np.abs(rng.normal(size=199)), 3)},
        "scib-metrics": {
            "states": np.round(rng.normal(size=(60, 3)) + np.arange(60)[:, None] % 3, 3),
            "labels": np.arange(60) % 3,
        },
    }


def cell_eval2(given: dict[str, dict[str, np.ndarray]]) -> dict[tuple[str, str], Any]:
    """Effects from counts, summed over cells, and log fold changes."""
    import polars as pl
    from cell_eval2.de import resolve_target_genes
    from cell_eval2.metrics import de, delta, discrimination
    from cell_eval2.prep import bulk_lognorm_means

    names, out = np.array(["control", *(f"p{i}" for i in range(6))]), {}
    for key in ("cell-eval2", "cell-eval2, same"):
        pred, real = ((names, bulk_lognorm_means(given[key][side], DEPTH)) for side in ("predicted", "true"))
        both: dict[str, Any] = {"pred_bulk": pred, "real_bulk": real, "control": "control"}
        ranked = {**both, "rank_denominator": "n-1", "exclude_target_gene": False}
        if key == "cell-eval2":
            out[key, "delta_pearson"] = list(delta.pearson_delta(**both).values())
            out[key, "expr_mae"] = list(delta.mae(**both).values())
            out[key, "expr_mse"] = list(delta.mse(**both).values())
            for kind in ("cosine", "l2", "l1"):
                found = discrimination.discrimination_score(**ranked, distance=kind)
                out[key, f"pds_{kind}"] = float(np.mean(list(found.values())))
        else:
            found = discrimination.discrimination_score(**ranked, distance="cosine")
            out[key, "pds_cosine, all predictions the same"] = float(np.mean(list(found.values())))
    x = given["cell-eval2, changes"]
    targets, features = np.repeat(["a", "b", "c"], 40), np.tile([f"f{i}" for i in range(40)], 3)
    tables = [
        pl.DataFrame(
            {"target": targets, "feature": features, "log2_fold_change": lfc.ravel(), "p_adj": x["p_adj"].ravel()}
        )
        for lfc in (x["predicted"], x["true"])
    ]
    none = resolve_target_genes(tables[1], ["a", "b", "c"], target_gene_map={"*": None})
    prepared = de.prepare_de(*tables, control="control", target_resolution=none)
    found = de.de_lfc_nmae(prepared, control="control")
    out["cell-eval2, changes", "lfc_nmae"] = [found[name] for name in "abc"]
    return out


def others(given: dict[str, dict[str, np.ndarray]]) -> dict[tuple[str, str], Any]:
    """What scoringrules, decoupler, scib-metrics and crepes say."""
    import scib_metrics
    import scoringrules as sr
    from crepes import ConformalRegressor
    from decoupler.mt import ulm

    out: dict[tuple[str, str], Any] = {}
    x = given["scoringrules"]
    for end, one in (("", "nrg"), (", fair", "fair")):
        out["scoringrules", f"crps_ensemble{end}"] = sr.crps_ensemble(x["truth"], x["draws"], 0, estimator=one).mean(0)
        out["scoringrules", f"es_ensemble{end}"] = sr.es_ensemble(x["truth"], x["draws"], 0, estimator=one)
    out["scoringrules", "crps_quantile"] = sr.crps_quantile(x["truth"], x["quantiles"], np.array(LEVELS), 0).mean(0)
    ends = x["quantiles"][0], x["quantiles"][-1]
    out["scoringrules", "interval_score"] = sr.interval_score(x["truth"], *ends, 0.1).mean(0)
    x = given["decoupler"]
    genes, sources = [f"g{i}" for i in range(40)], ["s0", "s1", "s2"]
    net = pd.DataFrame(x["weights"], genes, sources).rename_axis("target").reset_index()
    net = net.melt("target", var_name="source", value_name="weight").query("weight != 0")
    found, _ = ulm(pd.DataFrame(x["values"], ["a", "b", "c", "d"], genes), net, tmin=0)
    out["decoupler", "ulm"] = found[sources].to_numpy()
    x = given["scib-metrics"]
    found = scib_metrics.silhouette_label(x["states"], x["labels"], rescale=False)
    out["scib-metrics", "silhouette_label"] = float(found)
    told = ConformalRegressor().fit(residuals=given["crepes"]["scores"])
    for level in (50, 90, 95):
        out["crepes", f"half-width at {level} %"] = told.predict_int(np.zeros(1), confidence=level / 100)[0, 1]
    return out


def main() -> None:
    """Write what the packages say, and how far it is from ours."""
    given = inputs()
    theirs = cell_eval2(given) | others(given)
    packages = {name: version(name) for name in TOLERANCE}
    rows, records = [], []
    for (key, name), value in theirs.items():
        package = key.split(",")[0]
        far, same = within(name, package, given[key], value)
        limit = "one rank" if package == "crepes" else TOLERANCE[package]
        about = {"formula": name, "package": package, "version": packages[package]}
        rows.append(about | {"difference": float(f"{far:.1e}"), "tolerance": limit, "within": same})
        records.append(about | {"inputs": key, "value": np.asarray(value, dtype=float).tolist()})
    kept = {key: {name: x.tolist() for name, x in arrays.items()} for key, arrays in given.items()}
    text = json.dumps({"inputs": kept, "outputs": records}, separators=(",", ":"))
    (RESULTS / "parity.json").write_text(text.replace('},{"formula"', '},\n{"formula"') + "\n")
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "parity.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
