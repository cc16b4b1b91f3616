"""Committed reports of risk (eq. 5): one JSON per case in `results/reports/`, two of them as a page too.

Every model is fitted anew on every fold with its defaults and never sees what is asked about. Cases are those of the
tables *perturbation*, *protein* and *mosaic*: interferon-treated cells of one type, or of one donor, at a time;
CRISPRa doubles in five folds; half of the pairs of PBMC CITE-seq; the pairs of patient p4 of the mosaic. And two more:
*platforms*, five data sets of five cell lines by two protocols (sc_mixology), where one data set at a time lacks every
other one of the 1,000 genes with most counts; *breast*, sums of 3, 8 and 20 neighbouring Xenium cells of one half of a
section, to be taken apart by the cells of the other half.

    python benchmarks/reports.py kang_types kang_donors norman_doubles citeseq_half mosaic --data DIR
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd

import scvcell
from benchmarks import local
from benchmarks.compositions import Composition, Lift
from scvcell import risk
from scvcell.risk.axes import Context, ContextTranslation, Modality, Perturbation, Scale

OUT = Path(__file__).parent / "results" / "reports"
PAGES = ("kang_types", "norman_doubles")
"""Cases that are written as a page too."""
GENES = 1000
HELD_OUT = ("B cells", "CD14+ Monocytes", "NK cells", "CD4 T cells")


def kang(data: Path, context: str) -> dict[str, Any]:
    """Interferon-treated cells of one value of a column at a time; their controls are seen."""
    adata = local.kang_ifnb(data)
    seen_by = {"cell_type": "cell_type", "donor": ("donor", "cell_type")}[context]
    keys = scvcell.PerturbationKeys("perturbation", control="control", context=seen_by)
    values = HELD_OUT if context == "cell_type" else sorted(set(adata.obs["donor"].astype(str)))
    asked = scvcell.PerturbationKeys("perturbation", control="control", context=context)
    splits = [scvcell.pp.split(adata, "context", test=[value], perturbation=asked) for value in values]
    groups = ["donor"] if context == "donor" else ["cell_type"]
    return _case(adata, {"perturbation": keys}, splits, [Context(asked)], groups)


def norman(data: Path) -> dict[str, Any]:
    """CRISPRa doubles in five folds; other doubles and all singles are seen."""
    adata = local.norman_crispra(data)
    keys = scvcell.PerturbationKeys("perturbation", control="control")
    splits = list(risk.hold_out_actions(adata, keys, folds=5, combinations=True))
    return _case(adata, {"perturbation": keys}, splits, [Perturbation(keys)], [])


def citeseq(data: Path) -> dict[str, Any]:
    """The pairing of half of the cells of the first batch of PBMC CITE-seq."""
    mdata = mudata.read_h5mu(data / "pbmc_citeseq_10k5k" / "pbmc_citeseq_10k5k.h5mu")
    split = risk.hide_pairing(mdata, "rna", "prot", share=0.5)
    return _case(mdata, {"batch_key": "batch"}, [split], [Modality("rna", "prot")], [])


def mosaic(data: Path) -> dict[str, Any]:
    """The pairing of patient p4 of the mosaic."""
    mdata = scvcell.datasets.pbmc_mosaic()
    cells = mdata.obs_names[(mdata.obs["batch"] == "p4_0").to_numpy()]
    split = risk.hide_pairing(mdata, "rna", "adt", cells=cells)
    split = replace(split, reason=f"another batch, {split.reason}", how={**split.how, "splitter": "pairing of a batch"})
    return _case(mdata, {"batch_key": "batch"}, [split], [Modality()], [])


def platforms(data: Path) -> dict[str, Any]:
    """Every other gene of one data set of sc_mixology at a time; singlets, the genes with most counts."""
    adata = anndata.read_h5ad(data / "sc_mixology_platforms" / "sc_mixology.h5ad")
    adata = adata[(adata.obs["doublet"] == "SNG").to_numpy()]
    most = np.sort(np.argsort(-np.asarray(adata.X.sum(0)).ravel(), kind="stable")[:GENES])
    tables = {}
    for name, at in (("panel", most[::2]), ("rest", most[1::2])):
        tables[name] = anndata.AnnData(adata.X[:, at].astype(np.float32), var=adata.var.iloc[at][[]])
        tables[name].obs_names = adata.obs_names
    mdata = mudata.MuData(tables)
    for column in ("dataset", "platform"):
        mdata.obs[column] = pd.Categorical(adata.obs[column].astype(str).reindex(mdata.obs_names))
    splits = list(scvcell.pp.split(mdata, "dataset", n_folds=mdata.obs["dataset"].nunique()))
    axis, measure = ContextTranslation("dataset", "panel", "rest"), dict.fromkeys(tables, "counts")
    return _case(mdata, {"batch_key": "dataset", "measure": measure}, splits, [axis], ["platform"])


def breast(data: Path) -> dict[str, Any]:
    """Sums of cells of one half of a Xenium section, by cells of the other half."""
    full = anndata.read_h5ad(data / "breast_xenium_visium" / "xenium.h5ad")
    x, y = np.asarray(full.obsm["spatial"], float).T
    cells = anndata.AnnData(full.X.astype(np.float32), var=full.var[[]])
    cells.obs_names, cells.obsm["spatial"] = full.obs_names, np.stack([x, y], 1)
    cells.obs["cell_type"] = full.obs["cell_type_marker"].astype(str).to_numpy()
    cells.obs["batch"] = np.where(y < np.median(y), "upper", "lower")
    cells.obs["half"] = np.where(x < np.median(x), "left", "right")
    axis, splits = Scale(n_patches=600), []
    for half in ("left", "right"):
        test = cells.obs_names[cells.obs["half"] == half]
        splits.append(risk.Split(cells.obs_names.difference(test), test[:0], test, "another half of the section"))
    case = _case(cells, {}, splits, [axis], [])
    simple = [Composition(name, "cell_type") for name in ("nnls (root mean)", "nb_types")]
    return case | {"predictors": [Lift(), *simple]}


def _case(
    data: Any, options: dict[str, Any], splits: list[risk.Split], axes: list[Any], groups: list[str]
) -> dict[str, Any]:
    predictors = [risk.ModelPredictor(options=options)]
    return {"data": data, "predictors": predictors, "split": splits, "axes": axes, "groups": groups}


CASES = {
    "kang_types": lambda data: kang(data, "cell_type"),
    "kang_donors": lambda data: kang(data, "donor"),
    "norman_doubles": norman,
    "citeseq_half": citeseq,
    "mosaic": mosaic,
    "platforms": platforms,
    "breast": breast,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", choices=list(CASES))
    parser.add_argument("--data", type=Path, default=os.environ.get("SCVCELL_DATA_DIR"))
    parser.add_argument("--cache", type=Path, help="folder of records: a run that was stopped goes on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for name in args.cases or CASES:
        case, start = CASES[name](Path(args.data)), time.process_time()
        config = risk.RiskConfig(cache=args.cache and args.cache / name, seed=args.seed)
        report = risk.evaluate(case.pop("predictors"), case.pop("data"), config=config, **case)
        (OUT / f"{name}.json").write_text(report.to_json())
        if name in PAGES:
            report.to_html(OUT / f"{name}.html")
        print(name, f"{time.process_time() - start:.0f} CPU s")
        print(report.total.round(3).to_string())


if __name__ == "__main__":
    main()
