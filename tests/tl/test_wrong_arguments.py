"""Every verb and every kind of wrong argument: the answer names it, and nothing of the user's is changed."""

import hashlib

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import scvcell

tl, pl = scvcell.tl, scvcell.pl


@pytest.fixture
def fitted(dosed):
    return dosed.data, dosed.model, dosed.train


def digest(data):
    """All that a user has in a container."""
    out = hashlib.sha256()
    for part in (data, *data.mod.values()):
        out.update(pd.util.hash_pandas_object(part.obs.astype(str)).to_numpy().tobytes())
        out.update(str([*part.obs, *part.obsm, *part.uns, *part.var_names, *part.obs_names]).encode())
        out.update(np.asarray(part.obsm["X_csl"]).tobytes() if "X_csl" in part.obsm else b"")
    for adata in data.mod.values():
        out.update(np.ascontiguousarray(adata.X.data).tobytes())
        out.update(str(list(adata.layers)).encode())
    return out.hexdigest()


REFERENCE = np.arange(200) < 100
WRONG = {
    "batch_key": [
        (
            lambda d, m, t: tl.fit(d, batch_key=["cell_type", "action"], train=t),
            TypeError,
            "batch_key takes one column",
        ),
        (lambda d, m, t: tl.fit(d, batch_key=5, train=t), KeyError, "No obs column 5. Columns: "),
    ],
    "covariates": [
        (lambda d, m, t: tl.fit(d, covariates=5, train=t), TypeError, "covariates takes names of obs columns")
    ],
    "layers": [(lambda d, m, t: tl.fit(d, layers=["counts"], train=t), TypeError, "layers= takes the name of a layer")],
    "measure": [(lambda d, m, t: tl.fit(d, measure=["counts"], train=t), ValueError, "say of which: measure=")],
    "accelerator": [(lambda d, m, t: scvcell.TrainConfig(accelerator="cpuu"), ValueError, "Did you mean 'cpu'")],
    "weights": [
        (lambda d, m, t: scvcell.Weights(align="a"), TypeError, "Weights.align must be a number >= 0, not 'a'"),
        (lambda d, m, t: scvcell.Weights(align=-1), ValueError, "Weights.align must be a finite number >= 0"),
    ],
    "level": [
        (lambda d, m, t, v=verb: v(d, m), error, "level must")
        for verb, error in [
            (lambda d, m: tl.effects(d, m, "T1", level=95), ValueError),
            (lambda d, m: tl.effects(d, m, "T1", level=None), TypeError),
            (lambda d, m: tl.dose_response(d, m, "T1", level="a"), TypeError),
            (lambda d, m: tl.synergy(d, m, "T1+T2", level=0), ValueError),
            (lambda d, m: tl.translate(d, m, to="adt", level=1), ValueError),
            (lambda d, m: tl.rank_actions(d, m, REFERENCE, level=True), TypeError),
            (lambda d, m: tl.lift(d, m, labels_key="cell_type", level=95), ValueError),
        ]
    ],
    "seed": [
        (lambda d, m, t, v=verb: v(d, m), TypeError, "seed must be a whole number")
        for verb in [
            lambda d, m: tl.perturb(d, m, "T1", seed="a"),
            lambda d, m: tl.rank_actions(d, m, "action == 'T1'", seed=1.5),
            lambda d, m: tl.alignment_report(d, m, seed="a"),
            lambda d, m: tl.impact(d, m, seed="a"),
            lambda d, m: tl.order_effect(d, m, "T1", "T2", seed="a"),
            lambda d, m: tl.match_counterfactual(d, m, "T1", seed="a"),
            lambda d, m: tl.lift(d, m, labels_key="cell_type", seed="a"),
        ]
    ],
    "whole numbers": [
        (lambda d, m, t, v=verb: v(d, m), TypeError, "must be a whole number, not [12].5")
        for verb in [
            lambda d, m: tl.effects(d, m, "T1", n_cells=2.5),
            lambda d, m: tl.perturb(d, m, "T1", n_samples=1.5),
            lambda d, m: tl.rank_actions(d, m, "action == 'T1'", n_boot=2.5),
            lambda d, m: tl.match_counterfactual(d, m, "T1", n_boot=2.5),
            lambda d, m: tl.order_effect(d, m, "T1", "T2", n_null=1.5),
            lambda d, m: tl.transfer_labels(d, m, key="cell_type", reference=REFERENCE, k=2.5),
            lambda d, m: tl.cell_sentences(d, n_genes=2.5),
            lambda d, m: scvcell.pp.tokenize(d["rna"], length=2.5),
            lambda d, m: pl.effects(tl.effects(d, m, "T1"), n_features=2.5),
            lambda d, m: m.get_normalized_expression(d, modality="rna", n_samples=1.5),
        ]
    ],
    "features": [
        (lambda d, m, t: tl.dose_response(d, m, "T1", features="Gene01"), ValueError, "Did you mean 'gene01'"),
        (lambda d, m, t: tl.dose_response(d, m, "T1", features=[]), ValueError, "features= is empty"),
        (lambda d, m, t: m.get_normalized_expression(d, gene_list=["Gene01"], modality="rna"), ValueError, "gene01"),
    ],
    "empty": [
        (lambda d, m, t: tl.dose_response(d, m, "T1", doses=[]), ValueError, "doses= is empty"),
        (lambda d, m, t: tl.dose_response(d, m, "T1", times=[]), ValueError, "times= is empty"),
        (lambda d, m, t: tl.embed(d, m, modalities=[]), ValueError, "modalities= is empty"),
        (lambda d, m, t: tl.translate(d, m, to="adt", source=[]), ValueError, "source= is empty"),
    ],
    "actions": [
        (lambda d, m, t: tl.effects(d, m, 5), TypeError, "An action is text"),
        (lambda d, m, t: tl.impact(d, m, actions=5), TypeError, "actions takes actions"),
        (lambda d, m, t: tl.impact(d, m, actions="T9"), ValueError, "T9"),
        (lambda d, m, t: tl.rank_actions(d, m, REFERENCE, actions="T9"), ValueError, "T9"),
    ],
    "columns": [
        (lambda d, m, t: tl.effects(d, m, "T1", groupby=5), TypeError, "groupby takes names of obs columns"),
        (lambda d, m, t: tl.effects(d, m, "T1", groupby="cell_typ"), KeyError, "Did you mean 'cell_type'"),
        (lambda d, m, t: tl.transfer_labels(d, m, key=["a"], reference=REFERENCE), (TypeError, KeyError), "column"),
        (lambda d, m, t: tl.velocity(d, m, time_key="day"), KeyError, "No obs column 'day'"),
        (lambda d, m, t: tl.project(d, m, by="cell_typ"), KeyError, "Did you mean 'cell_type'"),
        (lambda d, m, t: tl.lift(d, m, labels_key="cell_typ"), KeyError, "Did you mean 'cell_type'"),
        (lambda d, m, t: tl.lift(d, m, labels_key="cell_type", groups_key="cell_typ"), KeyError, "Did you mean 'cell_"),
    ],
    "modalities": [
        (lambda d, m, t: tl.translate(d, m, to=["adt"]), ValueError, r"no modality \['adt'\]"),
        (lambda d, m, t: tl.translate(d, m, to=None), ValueError, "no modality None"),
        (lambda d, m, t: tl.embed(d, m, modalities=["rn"]), ValueError, "no modality 'rn'"),
        (lambda d, m, t: tl.cell_sentences(d, layer="x", modality="rna"), ValueError, "has no layer 'x'"),
        (lambda d, m, t: scvcell.pp.tokenize(d["rna"], layer="x"), ValueError, "has no layer 'x'"),
    ],
    "differential expression": [
        (
            lambda d, m, t: m.differential_expression(d, "cell_type", modality="rna", delta="a"),
            ValueError,
            "delta must be a log2 fold change",
        ),
        (
            lambda d, m, t: m.differential_expression(d, "cell_type", modality="rna", fdr=5),
            ValueError,
            "fdr must lie between 0 and 1",
        ),
    ],
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments_are_named_and_change_nothing(fitted, kind):
    mpl.use("agg")
    data, model, train = fitted
    before = digest(data)
    for call, error, message in WRONG[kind]:
        with pytest.raises(error, match=message):
            call(data, model, train)
        assert digest(data) == before, message


def test_none_is_what_leaving_out_is(fitted):
    data, model, train = fitted
    other = data.copy()
    fit = tl.fit(other, covariates=None, priors=None, weights=None, split=None, seed=None, key_added=None, train=train)
    assert np.isfinite(other.obsm["X_csl"]).all()
    plain = data.copy()
    tl.fit(plain, train=train)
    np.testing.assert_array_equal(plain.obsm["X_csl"], other.obsm["X_csl"])
    assert fit.schema.continuous == {}
    for verb in (tl.effects, tl.perturb):
        ours, theirs = verb(data, model, "T1", cells=None), verb(data, model, "T1")
        if isinstance(ours, pd.DataFrame):
            pd.testing.assert_frame_equal(ours, theirs)
    pd.testing.assert_frame_equal(
        tl.dose_response(data, model, "T1", doses=None, times=None, features=None), tl.dose_response(data, model, "T1")
    )


def test_one_is_a_list_of_one(fitted):
    data, model, train = fitted
    pd.testing.assert_frame_equal(tl.impact(data, model, actions="T1"), tl.impact(data, model, actions=["T1"]))
    pd.testing.assert_frame_equal(
        tl.dose_response(data, model, "T1", doses=1.0, features="gene01"),
        tl.dose_response(data, model, "T1", doses=[1.0], features=["gene01"]),
    )
    assert tl.fit(data.copy(), batch_key=["cell_type"], train=train).schema.batch_key == "cell_type"
    for number in (np.int64(3), np.uint8(3), np.int32(3)):
        assert len(tl.effects(data, model, "T1", n_cells=number))
        assert scvcell.TrainConfig(max_epochs=number).max_epochs == 3
