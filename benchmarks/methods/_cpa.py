"""What the interpreter of CPA runs (Python 3.10): reads the cells of ``cpa.py``, trains, writes predicted rates.

Started by ``cpa.py`` with a folder that holds ``counts.npz``, ``cells.csv`` and ``settings.json``; it adds
``rates.npy`` of the cells of split ``ood``, ``theta.npy`` and ``result.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cpa
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

CONDITION, CONTROL, DOSE = "condition", "ctrl", "dose"


def main(folder: Path) -> None:
    """Train and predict."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    cells = pd.read_csv(folder / "cells.csv", index_col=0, dtype=str)
    cells.index = cells.index.astype(str)
    adata = AnnData(sparse.load_npz(folder / "counts.npz"), cells)
    begin, cpu = time.perf_counter(), time.process_time()
    cpa.CPA.setup_anndata(
        adata,
        perturbation_key=CONDITION,
        control_group=CONTROL,
        dosage_key=DOSE,
        categorical_covariate_keys=settings["context"],
        is_count_data=True,
        max_comb_len=settings["most"],
    )
    splits = {f"{name}_split": value for name, value in (("train", "train"), ("valid", "valid"), ("test", "ood"))}
    model = cpa.CPA(adata, split_key="split", **splits, **settings["model"])
    model.train(
        use_gpu=False, plan_kwargs=settings["plan"], save_path=False, enable_progress_bar=False, **settings["train"]
    )
    result = {
        "fit_seconds": time.perf_counter() - begin,
        "fit_cpu_seconds": time.process_time() - cpu,
        "epochs": len(model.epoch_history[model.epoch_history["mode"] == "train"]),
    }
    asked = adata[adata.obs["split"] == "ood"].copy()
    model.predict(asked, batch_size=512)
    np.save(folder / "rates.npy", asked.obsm["CPA_pred"])
    np.save(folder / "theta.npy", model.module.px_r.detach().exp().numpy())
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
