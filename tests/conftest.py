"""What tests share: small synthetic mosaics, a model trained once on real data, and a deep comparison of containers."""

from __future__ import annotations

import hashlib
import os
import pickle
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData
from mudata import MuData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scvcell import TrainConfig
    from scvcell.model import Readout
    from scvcell.risk import RiskReport

# Read by torch on its first import, and inherited by processes and notebook kernels that tests start: two threads on
# two cores wait for each other by spinning, and beside another busy process that takes minutes instead of seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# UMAP starts threads of numba and sets as many for torch, whose OpenMP it shares; on a busy machine they spin and wait.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

TYPES = ("alpha", "beta", "gamma")
FLOW_STEPS = 80
"""Instead of 400: most of the time of a fit with actions, which every interval's folds take once more."""


def make_mosaic(
    n: int = 150, *, genes: int = 60, proteins: int = 6, n_batches: int = 2, fmt: Any = sp.csr_matrix, seed: int = 0
) -> MuData:
    """Cells with RNA only, with proteins only and with both, a third each; rows of each modality shuffled.

    Three cell types differ in a block of genes (fourfold) and proteins (eightfold); batches shift every gene.
    """
    rng = np.random.default_rng(seed)
    names = np.array([f"cell{i:04d}" for i in range(n)])
    obs = pd.DataFrame(
        {
            "batch": pd.Categorical([f"b{i}" for i in rng.integers(n_batches, size=n)]),
            "celltype": pd.Categorical(rng.choice(TYPES, n)),
            "age": rng.normal(50, 10, n),
        },
        index=names,
    )
    kind = obs["celltype"].cat.codes.to_numpy()
    batch = obs["batch"].cat.codes.to_numpy()
    has = {"rna": rng.permutation(np.arange(2 * n // 3)), "adt": rng.permutation(np.arange(n // 3, n))}
    modalities = {}
    for name, width, fold, level, stem in (("rna", genes, 4.0, 2.0, "gene"), ("adt", proteins, 8.0, 10.0, "protein")):
        base = level * rng.gamma(2.0, 0.5, width)
        own = np.arange(width) % len(TYPES)
        rate = base * np.where(own[None, :] == kind[:, None], fold, 1.0)
        rate = rate * np.exp(0.3 * rng.normal(size=(n_batches, width)))[batch]
        counts = rng.poisson(rate * rng.gamma(10, 0.1, (n, 1))).astype(np.float32)[has[name]]
        index = pd.Index([f"{stem}{i:03d}" for i in range(width)])
        modalities[name] = AnnData(fmt(counts), obs=obs.iloc[has[name]].copy(), var=pd.DataFrame(index=index))
    mdata = MuData(modalities)
    mdata.obs = obs.loc[mdata.obs_names]
    return mdata


def make_panel(n: int = 360, *, new: float = 0.0, platform: float = 0.3, seed: int = 0) -> SimpleNamespace:
    """Cells of a reference with 70 genes and 4 proteins, and cells of a tissue with 40 of these genes.

    Three cell types differ in a block of genes and proteins (fivefold), each along a gradient; a share `new` of the
    tissue is of a type of its own. Depth varies twofold; the tissue's platform counts each gene by a factor whose log
    has the standard deviation `platform`. Nobody expresses the last gene. ``hidden``: what the tissue's cells would
    show of the other 30 genes.
    """
    rng = np.random.default_rng(seed)
    fold = np.where(np.equal.outer(np.arange(4), np.arange(70) % 4), 5.0, 1.0)
    base, slope = rng.gamma(2.0, 0.5, 70), rng.normal(0, 0.4, (4, 70))
    base[-1] = 0
    tables, kinds = [], []
    for name in ("ref", "tis"):
        kind = rng.integers(3, size=n)
        kind[: round(new * n)] = 3 if name == "tis" else kind[: round(new * n)]
        state, depth = rng.normal(size=(n, 1)), rng.gamma(6, 1 / 6, (n, 1))
        rate = base * fold[kind] * np.exp(slope[kind] * state) * depth
        rate = rate * (np.exp(rng.normal(0, platform, 70)) if name == "tis" else 1)
        obs = pd.DataFrame({"kind": [f"k{k}" for k in kind]}, index=[f"{name}{i:03d}" for i in range(n)])
        genes = pd.DataFrame({"symbol": [f"S{i}" for i in range(70)]}, index=[f"gene{i:02d}" for i in range(70)])
        tables.append(AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)), obs, genes))
        kinds.append(kind)
    reference, full = tables
    levels = 8 * np.where(np.equal.outer(np.arange(4), np.arange(4)), 6.0, 1.0)
    stain, stained = (rng.poisson(levels[kind]).astype(np.float32) for kind in kinds)
    proteins = pd.DataFrame(index=[f"protein{i}" for i in range(4)])
    seen = rng.permutation(69)[:40]
    tissue = full[:, np.sort(seen)].copy()
    tissue.obsm["spatial"] = rng.uniform(0, 100, (n, 2))
    hidden = full[:, ~full.var_names.isin(tissue.var_names)].copy()
    adt = AnnData(stain, reference.obs[[]].copy(), proteins)
    return SimpleNamespace(
        reference=reference, tissue=tissue, hidden=hidden, stained=stained, adt=adt, kind=kinds[1], ours=kinds[0]
    )


FORMS = (
    "dense",
    "csr_matrix",
    "csc_matrix",
    "csr_array",
    "csc_array",
    "int32",
    "int64",
    "uint16",
    "float64",
    "h5ad csr",
    "h5ad csc",
    "h5ad dense",
    "zarr csr",
    "zarr csc",
    "zarr dense",
)
"""Every way in which counts may be given."""


def store_as(adata: AnnData, form: str, folder: Path) -> AnnData:
    """The same AnnData with X held as `form`, in memory or read from a file in `folder`."""
    dense = adata.to_df().to_numpy()
    if form == "dense":
        x = dense
    elif hasattr(sp, form):
        x = getattr(sp, form)(dense)
    elif " " not in form:
        x = sp.csr_matrix(dense.astype(form))
    else:
        where, kind = form.split()
        held = dense if kind == "dense" else getattr(sp, f"{kind}_matrix")(dense)
        path = folder / f"{kind}-{adata.n_vars}.{'h5ad' if where == 'h5ad' else 'zarr'}"
        copy = AnnData(held, obs=adata.obs.copy(), var=adata.var.copy())
        if where == "h5ad":
            copy.write_h5ad(path)
            return anndata.read_h5ad(path, backed="r")
        copy.write_zarr(path)
        stored = zarr.open_group(path, mode="r")["X"]
        x = stored if kind == "dense" else anndata.io.sparse_dataset(stored)
    return AnnData(x, obs=adata.obs.copy(), var=adata.var.copy())


ANCHORED = ("scvcell", "mean", "additive", "linear", "arithmetic", "replicate")
WORLDS: dict[str, tuple[str, str, dict[str, tuple[str, float, float, tuple[float, ...]]]]] = {
    "context": (
        "another cell_type",
        "1 - similarity to the nearest cell type",
        {
            "effect.answered": ("higher", 1, 1, (1, 1, 1, 1, 1, 1)),
            "effect.pearson_effect": ("higher", 0.31, 0.83, (0.66, 0, 0.12, 0.35, 0.48, 1)),
            "effect.nmae": ("lower", 0.81, 0.49, (0.58, 0, 0.05, 0.31, 0.4, 1)),
            "effect.slope": ("nominal", 0.5, 0.9, (0.8, 0, 0.3, 0.6, 0.6, 1)),
            "distribution.energy_distance": ("lower", 0.9, 0.2, (0.5, 0, -0.1, 0.2, 0.33, 1)),
        },
    ),
    "perturbation": (
        "new combination, 2 of 2 parts seen",
        "1 - similarity to the nearest training action",
        {
            "effect.pearson_effect": ("higher", 0.42, 0.9, (0.61, 0, 1.08, 0.55, 0.2, 1)),
            "effect.nmae": ("lower", 0.83, 0.41, (0.57, 0, 1.02, 0.5, 0.1, 1)),
            "pathway.pearson": ("higher", 0.5, 0.52, (0.2, 0, 0.4, 0.1, 0.3, 1)),
        },
    ),
    "modality": (
        "hidden assay",
        "share of pairs that was hidden",
        {"values.pearson": ("higher", 0.05, 0.71, (-0.09, 0, -0.2, -1.7, np.nan, 1))},
    ),
}
"""Per axis: regime, what severity measures, and per readout which way is better, both anchors, and scaled scores."""


def make_report(*, verdict: str = "amber", **cards: Any) -> RiskReport:
    """A made-up report: three axes, a model, four simple predictors and a replicate; `verdict` of the scramble test."""
    from scvcell.risk import RiskReport
    from scvcell.risk._report import COLUMNS

    rng = np.random.default_rng(0)
    found: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for axis, (regime, measure, readouts) in WORLDS.items():
        for item, (better, low, high, scaled) in readouts.items():
            (readout, metric), informative = item.split("."), abs(high - low) > 0.05 and better != "nominal"
            for name, at in zip(ANCHORED, scaled, strict=True):
                ends = at + np.array([-1, 1]) * rng.uniform(0.05, 0.2)
                raw = [low + (high - low) * x for x in (at, *ends)]
                note = "" if np.isfinite(at) else "failed: LinAlgError: Singular matrix"
                vague = "" if informative else "the replicate is not better than the baseline"
                between = [at, *ends] if informative else [np.nan] * 3
                values = [raw[0], *sorted(raw[1:]), low, high, *between]
                found["summary"].append([axis, readout, metric, better, name, *values, informative, 8, note or vague])
                asked = [
                    axis,
                    f"{regime} {measure[-3:]}",
                    regime,
                    0.5,
                    measure,
                    "B cells",
                    name,
                    readout,
                    metric,
                    better,
                ]
                found["rows"].append([*asked, raw[0], 400, 0, note])
                for severity in (0.1, 0.3, 0.5, 0.7, 0.9) if item.startswith(("effect.p", "values")) else ():
                    now = at if name in ("mean", "replicate") else at * (1.3 - 1.1 * severity)
                    value, half = low + (high - low) * now, 0.06 * (1 + severity)
                    found["curves"].append(
                        [axis, readout, metric, name, severity, value, value - half, value + half, now, 12]
                    )
            at = {"perturbation": 0.9, "modality": 0.1}.get(axis, np.nan)
            note = "better than the baseline up to 0.9" if np.isnan(at) else ""
            if better != "nominal" and metric != "answered":
                found["breakdown"].append([axis, readout, metric, "scvcell", at, measure, note])
        for of, coverage in (("all", 0.91), ("strongest", 0.71 if axis == "perturbation" else 0.88)):
            flag = "too narrow" if coverage < 0.8 else ""
            found["calibration"].append(
                [
                    axis,
                    regime,
                    "effect",
                    "scvcell",
                    of,
                    0.9,
                    coverage,
                    coverage - 0.04,
                    coverage + 0.04,
                    0.62,
                    0.11,
                    0.48,
                    320,
                    flag,
                ]
            )
    for group, gap in (("D1", 0.01), ("<script>alert('D2')</script>", -0.02), ("D3", 0.17)):
        flag = "worse" if gap > 0.1 else ""
        found["groups"].append(
            ["donor", group, "context", "effect", "rmse", "scvcell", 0.14 + gap, gap, gap - 0.05, gap + 0.06, 210, flag]
        )
    for name, total, share in zip(ANCHORED[:-1], (0.52, 1.0, 0.61, 0.74, 0.83), (0.72, 0, 0.28, 0, 0), strict=True):
        found["total"].append([name, total, total - 0.07, total + 0.08, share, ""])
    found["leakage"] = [
        ["", "shared cells", 0, 0, "green", "No cell is in both sides of the split."],
        ["", "near duplicates", 3, 0, "amber", "3 test cells have a twin among the training cells."],
        ["scvcell", "scramble test", 0.0 if verdict != "red" else 0.31, 0, verdict, "Held-out values were replaced."],
    ]
    tables = {name: pd.DataFrame(rows, columns=COLUMNS[name]) for name, rows in found.items()}
    return RiskReport(
        **tables,
        alpha=dict.fromkeys(WORLDS, 1 / 3),
        words={
            "another cell type": "allowed: no cell of the type was seen.",
            "unseen donor": "not allowed: all donors were seen.",
        },
        cards={
            "data": {
                "cells": 24_673,
                "features": {"rna": 1000, "adt": 17},
                "splits": [{"reason": "another cell_type", "train": 22_012, "calibration": 0, "test": 2661}],
            },
            "model": {"scvcell": "ModelPredictor(CSL of rna, adt: 24 dimensions)"},
            "run": {"n_boot": 200, "level": 0.9, "seed": 0, "baselines": dict.fromkeys(WORLDS, "mean")},
            **cards,
        },
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(value).hexdigest()[:16]


def _walk(path: str, value: Any, out: dict[str, Any]) -> None:
    if isinstance(value, MuData):
        out[f"{path}/modalities"] = list(value.mod)
        for name, adata in value.mod.items():
            _walk(f"{path}/{name}", adata, out)
    if isinstance(value, AnnData):
        _walk(f"{path}.X", value.X, out)
        _walk(f"{path}.layers", dict(value.layers), out)
    if isinstance(value, AnnData | MuData):
        for part in ("obs", "var"):
            _walk(f"{path}.{part}", getattr(value, part), out)
        for part in (
            "obsm",
            "varm",
            "obsp",
            "varp",
            "uns",
            *(("obsmap", "varmap") if isinstance(value, MuData) else ()),
        ):
            _walk(f"{path}.{part}", dict(getattr(value, part)), out)
    elif isinstance(value, dict):
        out[f"{path}/keys"] = list(value)
        for key, item in value.items():
            _walk(f"{path}/{key}", item, out)
    elif sp.issparse(value):
        out[path] = type(value).__name__
        for part in ("data", "indices", "indptr"):
            _walk(f"{path}.{part}", getattr(value, part), out)
    elif isinstance(value, pd.DataFrame):
        out[f"{path}/index"] = _digest(pickle.dumps(value.index.to_list()))
        for key in value:
            out[f"{path}/{key}"] = (str(value[key].dtype), _digest(pickle.dumps(value[key].to_list())))
    elif isinstance(value, np.ndarray):
        out[path] = (str(value.dtype), value.shape, _digest(np.ascontiguousarray(value).tobytes()))
    else:
        out[path] = (type(value).__name__, repr(value))


@pytest.fixture(scope="session")
def fingerprint() -> Callable[..., dict[str, Any]]:
    """Everything in a container as ``path -> digest``, so that a changed entry shows in the assertion."""

    def take(data: AnnData | MuData, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        out: dict[str, Any] = {}
        _walk("", data, out)
        return {k: v for k, v in out.items() if k not in without}

    return take


@pytest.fixture(scope="session")
def mosaic() -> Callable[..., MuData]:
    """`make_mosaic`."""
    return make_mosaic


@pytest.fixture(scope="session")
def made_report() -> Callable[..., RiskReport]:
    """`make_report`."""
    return make_report


@pytest.fixture(scope="session")
def panel() -> Callable[..., SimpleNamespace]:
    """`make_panel`."""
    return make_panel


@pytest.fixture(scope="session")
def imputed(quick: TrainConfig) -> SimpleNamespace:
    """`make_panel` with a type that the reference lacks, and a model of it with genes and proteins; read only."""
    from dataclasses import replace

    import scvcell

    scene = make_panel(new=0.15)
    mdata = scvcell.pp.panels(MuData({"rna": scene.reference, "adt": scene.adt}), scene.tissue)
    scene.model = scvcell.tl.fit(
        mdata, batch_key="platform", train=replace(quick, max_epochs=25, validation=0.2), key_added="X_csl"
    )
    scene.mdata = mdata
    return scene


@pytest.fixture(params=FORMS, ids=[f.replace(" ", "-") for f in FORMS])
def form(request: pytest.FixtureRequest) -> str:
    """Each of `FORMS`."""
    return request.param


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[AnnData | MuData, str], AnnData | MuData]:
    """The same AnnData or MuData with every X held in another form."""

    def convert(data: AnnData | MuData, form: str) -> AnnData | MuData:
        if isinstance(data, AnnData):
            return store_as(data, form, tmp_path)
        out = MuData({name: store_as(adata, form, tmp_path) for name, adata in data.mod.items()})
        out.obs = data.obs.loc[out.obs_names]
        return out

    return convert


@pytest.fixture(scope="session")
def quick() -> TrainConfig:
    """Two epochs on CPU, silent."""
    from scvcell import TrainConfig

    return TrainConfig(max_epochs=2, progress=False, accelerator="cpu")


@pytest.fixture(scope="session")
def readout() -> Callable[..., Readout]:
    """Make one assay of some cells by hand: an operator with random weights, and values that need not be its own."""
    import torch

    from scvcell._containers import Matrix
    from scvcell._random import seeded
    from scvcell.measure import MEASUREMENTS, Context
    from scvcell.model import Readout
    from scvcell.testing import example_summary

    def make(kind: str, values: Any, rows: Any = None, n_latent: int = 4, batch: Any = None, seed: int = 0) -> Readout:
        """`rows` as in `Readout`, by default those of `values`; `batch` is 0 or 1, by default in turn."""
        with seeded(seed):
            operator = MEASUREMENTS[kind](n_latent, example_summary(values.shape[1])).eval()
        rows = np.arange(values.shape[0]) if rows is None else np.asarray(rows)
        code = torch.arange(len(rows)) % 2 if batch is None else torch.as_tensor(batch)
        names = [f"f{i}" for i in range(values.shape[1])]
        ctx = Context(torch.eye(2)[code], code)
        return Readout(kind, names, operator, Matrix(values), rows, ctx, None, torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def small(quick: TrainConfig) -> SimpleNamespace:
    """A model of `make_mosaic`, fitted for 25 epochs with batch; read only."""
    from dataclasses import replace

    import scvcell

    mdata = make_mosaic(300)
    model = scvcell.tl.fit(mdata, batch_key="batch", train=replace(quick, max_epochs=25, validation=0.3))
    return SimpleNamespace(mdata=mdata, model=model)


@pytest.fixture(scope="session")
def pbmc(quick: TrainConfig) -> SimpleNamespace:
    """A model of the embedded real mosaic; a quarter of the paired cells held out as ``test``; read only."""
    from dataclasses import replace

    import scvcell

    mdata = scvcell.datasets.pbmc_mosaic()
    paired = np.flatnonzero((mdata.obsmap["rna"].ravel() > 0) & (mdata.obsmap["adt"].ravel() > 0))
    test = mdata.obs_names[np.sort(np.random.default_rng(0).choice(paired, len(paired) // 4, replace=False))]
    model = scvcell.tl.fit(
        mdata, batch_key="batch", train=replace(quick, max_epochs=20, validation=0.2), split=test.tolist()
    )
    return SimpleNamespace(mdata=mdata, model=model, test=test)


@pytest.fixture(scope="session")
def short_flows() -> Callable[[], Any]:
    """In its context, flows of actions are trained for `FLOW_STEPS` steps."""

    @contextmanager
    def patched() -> Iterator[None]:
        from scvcell.response import _crossfit, _flow_fit

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_flow_fit.train_flow, "__defaults__", (FLOW_STEPS,))
            patch.setattr(_crossfit, "FLOW_STEPS", FLOW_STEPS)
            yield

    return patched


@pytest.fixture(scope="module")
def flows(short_flows: Callable[[], Any]) -> Iterator[None]:
    """Flows of actions that the tests of a file fit are short ones."""
    with short_flows():
        yield
