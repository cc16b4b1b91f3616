"""Cells are known by their names: in every verb, whatever their order, that of the modalities, repeats and subsets."""

from __future__ import annotations

import importlib
from functools import partial
from types import SimpleNamespace

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

import scvcell
from scvcell import PerturbationKeys, TrainConfig, tl
from scvcell._labels import unlike
from scvcell.scale import Membership

KEYS = PerturbationKeys("drug", control="ctrl", dose="dose", context="celltype")
COLUMNS = ("drug", "dose", "celltype", "batch", "stage")


def make_screen(n=320, genes=40, proteins=8, seed=0):
    """Cells given A at three doses, B or both, of two types; four fifths have each assay; batches differ by e^2."""
    rng = np.random.default_rng(seed)
    label = rng.choice(["ctrl", "A", "A", "A", "B", "A+B"], n)
    dose = np.where(label == "A", rng.choice([1.0, 3.0, 10.0], n), np.where(label == "ctrl", 0.0, 1.0))
    kind, batch, stage = rng.integers(2, size=n), rng.integers(2, size=n), rng.integers(3, size=n)
    obs = pd.DataFrame(
        {
            "drug": label,
            "dose": dose,
            "celltype": pd.Categorical(np.array(["x", "y"])[kind]),
            "batch": np.array(["b0", "b1"])[batch],
            "stage": stage,
        },
        index=[f"c{i:03d}" for i in range(n)],
    )
    given = np.array([[target in text.split("+") for target in "AB"] for text in label]) * np.log1p(dose)[:, None]
    tables = {}
    for name, width, level in (("rna", genes, 1.0), ("adt", proteins, 2.0)):
        log = level + rng.normal(0, 0.5, width) + np.outer(kind, rng.normal(0, 1, width))
        log = log + np.outer(stage, 0.5 * rng.normal(0, 1, width)) + given @ rng.normal(0, 0.7, (2, width))
        log = log + 2 * rng.normal(0, 1, (2, width))[batch]
        rows = rng.permutation(n)[: n * 4 // 5]
        counts = sp.csr_matrix(rng.poisson(np.exp(np.minimum(log, 6)))[rows].astype(np.float32))
        var = pd.DataFrame(index=[f"{name}{i}" for i in range(width)])
        tables[name] = AnnData(counts, obs=obs.iloc[rows][[]].copy(), var=var)
    mdata = MuData(tables)
    mdata.obs = obs.loc[mdata.obs_names].copy()
    return mdata


@pytest.fixture(scope="module", autouse=True)
def fewer_steps():
    """Flows are trained for 60 steps at most: enough to differ between actions."""
    trained, left_out = ("response._learn", "screen._order"), ("response._crossfit",)
    traced = ("tl._match", "screen._rehearsal")
    fewer = ((trained, "train_flow", 60), (left_out, "train_flows", 60), (traced, "fit_origin", 30))
    with pytest.MonkeyPatch.context() as patch:
        for names, function, most in fewer:
            for name in names:
                module = importlib.import_module(f"scvcell.{name}")
                patch.setattr(module, function, partial(at_most, getattr(module, function), most))
        patch.setattr(importlib.import_module("scvcell.screen._rehearsal"), "N_REHEARSALS", 1)
        patch.setattr(importlib.import_module("scvcell.scale._amortise"), "N_STEPS", 60)
        yield


def at_most(train, most, *args, **options):
    """A function that trains, called with fewer steps."""
    *args, steps = args if len(args) == 5 else (*args, most)
    return train(*args, **options | {"steps": min(most, options.get("steps", steps))})


@pytest.fixture(scope="module")
def screen(fewer_steps):
    """A model that every verb can be asked of, its data, and what they answer; read only."""
    mdata = make_screen()
    table = {"modality_a": "rna", "modality_b": "adt"}
    table |= {f"feature_{side}": [f"{name}{i}" for i in range(8)] for side, name in (("a", "rna"), ("b", "adt"))}
    graph = scvcell.pp.link_features(mdata, how="table", table=pd.DataFrame(table))
    train = TrainConfig(max_epochs=10, validation=0.25, progress=False, accelerator="cpu", rematch=0)
    model = tl.fit(mdata, batch_key="batch", priors=graph, train=train)
    model.learn("response", KEYS, calibrate=False)
    tl.velocity(mdata, model, time_key="stage")
    return SimpleNamespace(mdata=mdata, model=model, answers={})


# ------------------------------------------------------------------ what verbs answer, by name


def of_cells(table, *layers):
    """Values, layers and latent of a result, by the name of the cell they come from."""
    out = {}
    for name, part in table.mod.items() if isinstance(table, MuData) else [("", table)]:
        index = list(part.obs.get("source_cell", part.obs_names))
        for layer in layers or ("X", *(key for key in part.layers if key)):
            x = part.X if layer == "X" else part.layers[layer]
            values = x.toarray() if sp.issparse(x) else np.asarray(x)
            out[f"{name} {layer}"] = pd.DataFrame(values, index, list(part.var_names))
    if "X_csl" in table.obsm:
        index = table.obs.get("source_cell", table.obs_names)
        out["latent"] = pd.DataFrame(table.obsm["X_csl"], list(index))
    return out


def written(data, *columns, obsm=None):
    """Columns of obs and one array that a verb wrote."""
    out = {"obs": data.obs[list(columns)]}
    if obsm is not None:
        out["obsm"] = pd.DataFrame(data.obsm[obsm], data.obs_names)
    return out


def of_rows(table, *names, keep=None):
    """Numbers of a table, by what its rows are called."""
    table = table.set_index(list(names))
    return {"table": table.select_dtypes("number") if keep is None else table[list(keep)]}


def embed(data, model):
    tl.embed(data, model)
    return written(data, "csl_uncertainty", obsm="X_csl")


def information(data, model):
    tl.modality_information(data, model)
    return written(data, "csl_bits_rna", "csl_bits_adt")


def transfer(data, model):
    tl.transfer_labels(data, model, key="celltype", reference=data)
    return written(data, *(f"celltype_transferred{end}" for end in ("", "_probability", "_trusted")))


def units(data):
    """Each cell a unit of its own."""
    return Membership.groups(pd.Series(data.obs_names, data.obs_names))


def velocity(data, model):
    tl.velocity(data, model, time_key="stage")
    return written(data, "velocity_confidence", "velocity_trusted", obsm="velocity_csl")


def response(data, model):
    table = tl.response_score(data, model)
    return written(data, "csl_response", "csl_response_probability") | of_rows(table, "action", "group")


OF_CELLS = {
    "embed": embed,
    "modality_information": information,
    "translate": lambda d, m: of_cells(tl.translate(d, m, to="adt", source="rna")),
    "translate to itself": lambda d, m: of_cells(tl.translate(d, m, to="rna", source=["rna", "adt"])),
    "velocity": velocity,
    "forecast": lambda d, m: of_cells(tl.forecast(d, m, time=0.5)),
    "forecast of an action": lambda d, m: of_cells(tl.forecast(d, m, time=0.5, action="B"), "X"),
    "cell_sentences": lambda d, m: {"sentence": tl.cell_sentences(d).to_frame()},
    "get_normalized_expression": lambda d, m: {"x": m.get_normalized_expression(d, modality="rna")},
    "niches of one cell": lambda d, m: of_cells(tl.project(d, m, by=units(d)), "X"),
    "states of perturb": lambda d, m: {"latent": of_cells(tl.perturb(d, m, "A"), "X")["latent"]},
}
"""Verbs that say of each cell what does not depend on other cells."""
OF_GROUPS = {
    "transfer_labels": transfer,
    "perturb": lambda d, m: of_cells(tl.perturb(d, m, "A"), "expected"),
    "effects": lambda d, m: of_rows(tl.effects(d, m, "A"), "group", "modality", "feature"),
    "dose_response": lambda d, m: of_rows(
        tl.dose_response(d, m, "A", doses=[1, 10]), *("group", "modality", "feature", "dose")
    ),
    "synergy": lambda d, m: of_rows(
        tl.synergy(d, m, "A+B"), *("group", "modality", "feature"), keep=("lfc", "additive", "interaction")
    ),
    "response_score": response,
    "fate": lambda d, m: of_cells(tl.fate(d, m, groupby="celltype", terminal=["x", "y"])),
    "alignment_report": lambda d, m: of_rows(
        tl.alignment_report(d, m, labels_key="celltype"), "metric", keep=("value", "cca")
    ),
    "project": lambda d, m: of_cells(tl.project(d, m, by="stage"), "X"),
    "feature_links": lambda d, m: of_rows(tl.feature_links(d, m), "feature_a", "feature_b", keep=("score",)),
}
"""Verbs whose answers depend on all cells, and on no draw."""
DRAWN = {
    "potency": lambda d, m: of_rows(tl.potency(d, m), "target", "group", "modality", keep=("emax",)),
    "impact": lambda d, m: of_rows(tl.impact(d, m), "action", "group", "modality", keep=("impact",)),
    "effect_correlation": lambda d, m: {"table": tl.effect_correlation(d, m, modality="rna")},
    "rank_actions": lambda d, m: of_rows(tl.rank_actions(d, m, "drug == 'B'"), "action", keep=("progress",)),
    "order_effect": lambda d, m: of_rows(tl.order_effect(d, m, "A", "B", n_null=1), "group", keep=("null", "n_cells")),
    "match_counterfactual": lambda d, m: of_cells(
        tl.match_counterfactual(d, m, {"A": 10}, covariates="batch", n_boot=2), "counterfactual", "matched"
    ),
    "lift": lambda d, m: of_cells(tl.lift(d, m, reference=d, labels_key="celltype"), "X", "abundance"),
    "differential_expression": lambda d, m: of_rows(
        m.differential_expression(d, "celltype", modality="rna").reset_index(names="feature"),
        *("comparison", "feature"),
        keep=("scale1", "scale2"),
    ),
}
"""Verbs that draw cells, so that their answers are near to each other only."""


def answer(screen, verb):
    """What a verb answers of the data of the fit, asked once."""
    if verb not in screen.answers:
        screen.answers[verb] = (OF_CELLS | OF_GROUPS | DRAWN)[verb](screen.mdata, screen.model)
    return screen.answers[verb]


def check_alike(found, wanted, *, drawn=False):
    """The same values under the same names; `drawn` ones nearly."""
    assert set(found) == set(wanted)
    for key, table in found.items():
        assert len(table)
        base = [name.split("~")[0] if isinstance(name, str) else name for name in table.index]
        other = wanted[key].loc[base, table.columns]
        if drawn:
            a, b = (x.to_numpy(float).ravel() for x in (table, other))
            known = np.isfinite(a) & np.isfinite(b)
            apart = np.abs(a - b)[known].mean() / np.abs(b[known]).mean()
            assert apart < 0.2, (key, apart)
            continue
        for column in table:
            a, b = table[column], other[column]
            if pd.api.types.is_float_dtype(a):
                np.testing.assert_allclose(a, b.to_numpy(), rtol=1e-3, atol=1e-3, err_msg=f"{key} {column}")
            else:
                assert a.tolist() == b.tolist(), (key, column)


# ------------------------------------------------------------------ the same cells in other containers


def permuted(mdata):
    """Cells of each modality and the modalities in another order."""
    rng = np.random.default_rng(0)
    out = MuData({name: mdata[name][rng.permutation(mdata[name].n_obs)].copy() for name in ("adt", "rna")})
    out.obs = mdata.obs.loc[out.obs_names].copy()
    return out


def annotated_by_modality(mdata):
    """The same, and annotation in the modalities only, where each lacks what the other one tells of some cells."""
    out = permuted(mdata)
    for name in out.mod:
        out[name].obs = mdata.obs.loc[out[name].obs_names, list(COLUMNS)].copy()
    out["adt"].obs["drug"] = out["adt"].obs["drug"].astype("category")
    out.obs = pd.DataFrame(index=out.obs_names)
    return out


def some_repeated(mdata, n=100):
    """Half of the cells, and some of them once more or several times under new names, in another order."""
    rng = np.random.default_rng(0)
    kept = mdata.obs_names[rng.permutation(mdata.n_obs)[: mdata.n_obs // 2]]
    again = kept[rng.integers(len(kept), size=n)]
    names = pd.Index([f"{name}~{i}" for i, name in enumerate(again)])
    tables = {}
    for m, table in mdata.mod.items():
        has = again.isin(table.obs_names)
        more = table[again[has]].copy()
        more.obs_names = names[has]
        both = anndata.concat([table[table.obs_names.isin(kept)], more])
        tables[m] = both[rng.permutation(both.n_obs)].copy()
    out = MuData(tables)
    out.obs = mdata.obs.loc[[name.split("~")[0] for name in out.obs_names]].set_axis(out.obs_names)
    return out


@pytest.mark.parametrize("verb", [*OF_CELLS, *OF_GROUPS])
def test_order_does_not_matter(screen, verb):
    found = (OF_CELLS | OF_GROUPS)[verb](annotated_by_modality(screen.mdata), screen.model)
    check_alike(found, answer(screen, verb))


@pytest.mark.parametrize("verb", DRAWN)
def test_order_matters_for_draws_only(screen, verb):
    check_alike(DRAWN[verb](annotated_by_modality(screen.mdata), screen.model), answer(screen, verb), drawn=True)


@pytest.mark.parametrize("verb", OF_CELLS)
def test_other_cells_do_not_matter(screen, verb):
    check_alike(OF_CELLS[verb](some_repeated(screen.mdata), screen.model), answer(screen, verb))


# ------------------------------------------------------------------ cells that are named in an argument

WAYS = {
    "names in another order": lambda names, mask, rng: rng.permutation(names[mask]),
    "an index": lambda names, mask, rng: pd.Index(rng.permutation(names[mask])),
    "a set": lambda names, mask, rng: set(names[mask]),
    "categories": lambda names, mask, rng: pd.Categorical(rng.permutation(names[mask])),
    "a mask": lambda names, mask, rng: mask.tolist(),
    "a mask in another order": lambda names, mask, rng: pd.Series(mask, names).sample(frac=1, random_state=0),
    "a nullable mask in another order": lambda names, mask, rng: (
        pd.Series(mask, names, "boolean").where(mask, None).sample(frac=1, random_state=0)
    ),
    "a mask of categories": lambda names, mask, rng: pd.Series(mask, names).astype("category")[::-1],
    "a mask of objects": lambda names, mask, rng: pd.Series(np.where(mask, True, None), names)[::-1],
}
"""Ways to name the same cells."""


@pytest.mark.parametrize("way", WAYS)
def test_cells_by_any_name(screen, way):
    data, model = permuted(screen.mdata), screen.model
    data, rng = data[data.obs["drug"] == "ctrl"].copy(), np.random.default_rng(1)
    names = data.obs_names.to_numpy().astype(object)
    mask = rng.random(data.n_obs) < (0.8 if "mask" in way else 1)  # as many cells as there are, too
    cells = WAYS[way](names, mask, rng)
    query = f"index in {names[mask].tolist()}"
    for verb in (
        lambda cells: of_cells(tl.perturb(data, model, "A", cells=cells), "expected"),
        lambda cells: of_rows(tl.effects(data, model, "A", cells=cells), "group", "modality", "feature"),
        lambda cells: of_cells(tl.forecast(data, model, time=0.5, cells=cells), "X"),
        lambda cells: {"x": model.get_normalized_expression(data, cells, modality="rna")},
        lambda cells: of_rows(tl.rank_actions(data, model, cells, n_boot=2), "action", keep=("support",)),
    ):
        check_alike(verb(cells), verb(query))
    found = []
    for reference in (cells, query):
        tl.transfer_labels(data, model, key="celltype", reference=reference)
        found.append(written(data, "celltype_transferred", "celltype_transferred_probability"))
    check_alike(*found)


def test_cells_named_twice(screen):
    controls = screen.mdata.obs_names[screen.mdata.obs["drug"] == "ctrl"].to_numpy()
    twice = np.random.default_rng(0).permutation(np.repeat(controls, 2))
    for verb in (
        lambda cells: tl.perturb(screen.mdata, screen.model, "A", cells=cells, n_samples=2),
        lambda cells: tl.forecast(screen.mdata, screen.model, time=0.5, cells=cells),
    ):
        found = verb(twice)
        assert found.obs_names.is_unique
        assert found.obs["source_cell"].tolist()[: len(twice)] == twice.tolist()
        for key in ("batch", "celltype", "stage"):
            truth = screen.mdata.obs.loc[found.obs["source_cell"], key]
            assert found.obs[key].tolist() == truth.tolist()
    check_alike(of_cells(found), of_cells(verb(controls)))


def test_pairs_are_known_by_name(screen):
    data = permuted(screen.mdata)
    both = data["rna"].obs_names.intersection(data["adt"].obs_names).to_numpy()
    rng = np.random.default_rng(0)

    def scores(order):
        report = tl.alignment_report(data, screen.model, pairs=(both[order], both[order]), labels_key="celltype")
        return of_rows(report, "metric", keep=("value", "cca"))

    wanted = scores(np.arange(len(both)))
    check_alike(scores(rng.permutation(len(both))), wanted)
    everything = tl.alignment_report(data, screen.model, pairs=pd.DataFrame({"a": both, "b": both}))
    check_alike(of_rows(everything, "metric", keep=("value",)), {"table": wanted["table"][["value"]]})
    assert scores(rng.permutation(len(both)))["table"].loc["foscttm", "value"] < 0.45


def test_groups_that_modalities_call_differently_are_told(screen, caplog):
    """The one that is taken is named, and neither order of the modalities hides it."""
    answers = []
    for order in (("rna", "adt"), ("adt", "rna")):
        data = annotated_by_modality(screen.mdata)
        data = MuData({name: data[name] for name in order})
        data.obs = pd.DataFrame(index=data.obs_names)
        data["adt"].obs["celltype"] = data["adt"].obs["celltype"].map({"x": "y", "y": "x"})
        paired = int((screen.model.view(data).present("rna") & screen.model.view(data).present("adt")).sum())
        for verb in (
            lambda data: tl.effects(data, screen.model, "A", groupby="celltype"),
            lambda data: tl.perturb(data, screen.model, "A", cells="celltype == 'x'"),
            lambda data: tl.transfer_labels(data, screen.model, key="celltype"),
            lambda data: scvcell.pp.modality_from_obs(data, "celltype"),
        ):
            caplog.clear()
            verb(data)
            assert caplog.text.count(f"obs['celltype']: modalities say different things of {paired} cells, e.g.") == 1
        data["adt"].obs["total"], data["rna"].obs["total"] = 1, 2
        answers.append(tl.perturb(data, screen.model, "A", cells=screen.mdata.obs_names[:50].tolist()).obs)
    for obs in answers:
        assert "total" not in obs
        assert set(obs["rna:total"].dropna()) == {2}
        assert set(obs["adt:total"].dropna()) == {1}


# ------------------------------------------------------------------ annotation of results, and files

TYPES = {
    "stage_of": lambda n: pd.Categorical(
        np.array(["late", "early"])[np.arange(n) % 2], ["early", "late"], ordered=True
    ),
    "label": lambda n: pd.Categorical(np.where(np.arange(n) % 3, "a", None)),
    "number_of": lambda n: pd.Categorical(np.arange(n) % 3),
    "flag": lambda n: np.arange(n) % 2 == 0,
    "maybe": lambda n: pd.array([True, None, False] * (n // 3 + 1), dtype="boolean")[:n],
    "count": lambda n: pd.array([1, None, 3] * (n // 3 + 1), dtype="Int64")[:n],
    "small": lambda n: (np.arange(n) % 100).astype(np.int8),
    "share": lambda n: np.where(np.arange(n) % 4, np.arange(n) / n, np.nan).astype(np.float32),
    "text": lambda n: np.array([f"t{i}" for i in range(n)], dtype=object),
    "some_text": lambda n: pd.array([f"t{i}" if i % 5 else None for i in range(n)], dtype="string"),
}
"""Columns of every type that files can hold, missing entries among them."""
RESULTS = {
    "perturb": lambda d, m: tl.perturb(d, m, "A", n_samples=2),
    "forecast": lambda d, m: tl.forecast(d, m, time=0.5, action="B"),
    "match_counterfactual": lambda d, m: tl.match_counterfactual(d, m, {"A": 10}, n_boot=2),
    "translate": lambda d, m: tl.translate(d, m, to="adt"),
    "fate": lambda d, m: tl.fate(d, m, groupby="stage_of", terminal="early"),
    "prepare_query": lambda d, m: scvcell.pp.prepare_query(d, m),
    "modality_from_obs": lambda d, m: scvcell.pp.modality_from_obs(d, "stage_of"),
    "expression_from_sentences": lambda d, m: tl.expression_from_sentences(tl.cell_sentences(d), d["rna"].var_names),
    "what is written": lambda d, m: [verb(d, m) for verb in (embed, information, transfer, velocity, response)] and d,
}
"""Verbs that return cells, or write to them."""


def typed(mdata):
    """The same with a column of every type in the container, and in the modalities, of which one lacks a flag."""
    out = MuData({name: table.copy() for name, table in mdata.mod.items()})
    out.obs = mdata.obs.assign(**{name: make(mdata.n_obs) for name, make in TYPES.items()}).loc[out.obs_names]
    for name in out.mod:
        own = AnnData(obs=out.obs.loc[out[name].obs_names, list(TYPES)].add_suffix("_of_some"))
        out[name].obs = own[own.obs_names].copy().obs  # without the categories that it does not use
    del out["adt"].obs["flag_of_some"]
    return out


def through_files(data, folder, verb):
    """Data after each file format that holds them."""
    if isinstance(data, MuData):
        data.write(folder / "a.h5mu")
        yield mudata.read(folder / "a.h5mu")
    else:
        data.write_h5ad(folder / "a.h5ad")
        yield anndata.read_h5ad(folder / "a.h5ad")
    if verb in ("perturb", "translate", "what is written"):  # the others have nothing that these have not
        data.write_zarr(folder / "b.zarr")
        yield (mudata if isinstance(data, MuData) else anndata).read_zarr(folder / "b.zarr")


@pytest.mark.parametrize("verb", RESULTS)
def test_results_keep_annotation_and_can_be_written(screen, tmp_path, verb):
    data = typed(screen.mdata)
    wanted = screen.model.view(data).obs()
    for key in TYPES:
        assert wanted[key].dtype == data.obs[key].dtype
    kinds = {"flag_of_some": "boolean", "small_of_some": "int8"}
    found = RESULTS[verb](data, screen.model)
    parts = [found, *(found.mod.values() if isinstance(found, MuData) else ())]
    for part in parts if verb not in ("what is written", "prepare_query") else ():  # these hold the user's own columns
        for key in set(wanted) & set(part.obs) - set(COLUMNS):
            assert part.obs[key].dtype == kinds.get(key, data.obs[key.removesuffix("_of_some")].dtype), key
            own = wanted[key].loc[part.obs.get("source_cell", part.obs_names)]
            pd.testing.assert_series_equal(part.obs[key], own, check_index=False)
    before = [part.obs.copy() for part in parts]
    for read in through_files(found, tmp_path, verb):
        for part, old in zip([read, *(read.mod.values() if isinstance(read, MuData) else ())], before, strict=True):
            assert list(part.obs_names) == list(old.index)
            for key in old:
                assert unlike(part.obs[key], old[key]).sum() == 0
                assert part.obs[key].isna().tolist() == old[key].isna().tolist()
                if key in TYPES and not pd.api.types.is_string_dtype(old[key].dtype):
                    assert part.obs[key].dtype == old[key].dtype


# ------------------------------------------------------------------ values

BAD = {"NaN": np.nan, "infinite": np.inf, "negative": -5, "non-integer": 1.5}


@pytest.mark.parametrize("verb", [*OF_CELLS, *OF_GROUPS, *DRAWN])
def test_values_that_a_fit_would_refuse(screen, monkeypatch, fingerprint, verb):
    """Wherever they are among the rows that are read, and nothing is written then."""
    monkeypatch.setattr("scvcell._containers._matrix.SAMPLE_ROWS", 1)
    data = MuData({name: table.copy() for name, table in screen.mdata.mod.items()})
    data.obs = screen.mdata.obs.loc[data.obs_names]
    counts = data["rna"].X.toarray()
    for n, (what, value) in enumerate(BAD.items()):
        x = counts.copy()
        x[n + 1 :: 3, 7 * n] = value
        data["rna"].X = sp.csr_matrix(x) if n % 2 else x
        before = fingerprint(data)
        with pytest.raises(ValueError, match=f"^Modality 'rna'.*{what}"):
            (OF_CELLS | OF_GROUPS | DRAWN)[verb](data, screen.model)
        assert fingerprint(data) == before
    data["rna"].layers["raw"] = sp.csr_matrix(counts)
    data["rna"].X = np.log1p(counts)
    with pytest.raises(ValueError, match=r"non-integer.*layer"):
        (OF_CELLS | OF_GROUPS | DRAWN)[verb](data, screen.model)
    del data["rna"].X
    with pytest.raises(ValueError, match=r"'rna' has no X; it has layers \['raw'\]"):
        (OF_CELLS | OF_GROUPS | DRAWN)[verb](data, screen.model)
