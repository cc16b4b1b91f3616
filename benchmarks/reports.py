"""Committed reports of risk (eq. 5): one JSON per case in `results/reports/`, two of them as a page too.

Every model is fitted anew on every fold with its defaults and never sees what is asked about. Cases are those of the
tables *perturbation*, *protein* and *mosaic*: interferon-treated cells of one type, or of one donor, at a time;
CRISPRa doubles in five folds; half of the pairs of PBMC CITE-seq; the pairs of patient p4 of the mosaic.

    python benchmarks/reports.py kang_types kang_donors norman_doubles citeseq_half mosaic --data DIR
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mudata

import scvcell
from benchmarks import local
from scvcell import risk
from scvcell.risk.axes import Context, Modality, Perturbation

OUT = Path(__file__).parent / "results" / "reports"
PAGES = ("kang_types", "norman_doubles")
"""Cases that are written as a page too."""
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


def _case(
    data: Any, options: dict[str, Any], splits: list[risk.Split], axes: list[Any], groups: list[str]
) -> dict[str, Any]:
    return {"data": data, "options": options, "split": splits, "axes": axes, "groups": groups}


CASES = {
    "kang_types": lambda data: kang(data, "cell_type"),
    "kang_donors": lambda data: kang(data, "donor"),
    "norman_doubles": norman,
    "citeseq_half": citeseq,
    "mosaic": mosaic,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--data", type=Path, default=os.environ.get("SCVCELL_DATA_DIR"))
    parser.add_argument("--cache", type=Path, help="folder of records: a run that was stopped goes on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for name in args.cases:
        case, start = CASES[name](Path(args.data)), time.process_time()
        model = risk.ModelPredictor(options=case.pop("options"))
        config = risk.RiskConfig(cache=args.cache and args.cache / name, seed=args.seed)
        report = risk.evaluate(model, case.pop("data"), config=config, **case)
        (OUT / f"{name}.json").write_text(report.to_json())
        if name in PAGES:
            report.to_html(OUT / f"{name}.html")
        print(name, f"{time.process_time() - start:.0f} CPU s")
        print(report.total.round(3).to_string())


if __name__ == "__main__":
    main()
