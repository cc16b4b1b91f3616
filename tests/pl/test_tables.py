"""What plots read: columns and features of any container, predictions beside their truth, parts of frames."""

import numpy as np
import pandas as pd
import pytest

from scvcell import pl
from scvcell.pl._tables import assays, column, need, need_layers, obs_column, part, scored, shared
from scvcell.score import dense


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def flat(mdata):
    mdata.obsm["X_umap"] = mdata.obsm["z"][:, :2]
    return mdata


@pytest.mark.filterwarnings("ignore:var_names are not unique")
def test_a_feature_of_two_modalities_must_be_told(flat):
    adt = flat["adt"].copy()
    adt.var_names = [flat["rna"].var_names[0], *adt.var_names[1:]]
    both = type(flat)({"rna": flat["rna"].copy(), "adt": adt})
    both.obsm["X_umap"] = np.zeros((both.n_obs, 2))
    name = adt.var_names[0]
    with pytest.raises(ValueError, match=rf"{name}' is a feature of \['rna', 'adt'\]: say which, e.g. 'rna:{name}'"):
        pl.embedding(both, color=name)
    assert len(pl.embedding(both, color=[f"rna:{name}", f"adt:{name}"])) == 2


def test_columns_of_modalities_by_their_plain_name(flat):
    del flat.obs["cell_type"]
    assert legend_texts(pl.embedding(flat, color="cell_type")) == ["type1", "type2", "type3"]
    assert not [c for c in pl.embedding(flat, color="cell_type").collections if len(c.get_offsets()) not in (0, 150)]


def test_what_modalities_call_differently_is_told(flat, caplog):
    both = (flat.obsmap["rna"].ravel() > 0) & (flat.obsmap["adt"].ravel() > 0)
    flat["rna"].obs["kind"], flat["adt"].obs["kind"] = "T", "B"
    pl.embedding(flat, color="kind")
    assert f"obs['kind']: modalities say different things of {both.sum()} cells, e.g. of" in caplog.text
    assert "'T', which is drawn, and 'B'. Name one: 'rna:kind'" in caplog.text
    caplog.clear()
    pl.embedding(flat, color="adt:kind")
    assert "modalities say different things" not in caplog.text


def test_a_column_of_the_container_goes_before_one_of_a_modality_and_that_before_a_feature(mdata):
    gene = str(mdata["rna"].var_names[0])
    assert column(mdata, "batch").holder is mdata
    mdata["rna"].obs["own"] = 1.0
    found = column(mdata, "own")
    assert found.holder is mdata["rna"]
    assert found.values.notna().sum() == mdata["rna"].n_obs
    assert column(mdata, gene).scale == "log(1 + counts)"
    mdata["adt"].obs[gene] = "text"
    assert column(mdata, gene).scale == "obs"
    assert column(mdata, f"rna:{gene}").scale == "log(1 + counts)"
    mdata["rna"].X = mdata["rna"].X * 0.3
    assert column(mdata, f"rna:{gene}").scale == "value"
    with pytest.raises(ValueError, match=r"No obs column or feature 'batsh'. Did you mean 'batch'"):
        column(mdata, "batsh")
    with pytest.raises(ValueError, match=r"No obs column 'gene.*Columns: "):
        obs_column(mdata["rna"], "gene none")


def test_assays_of_each_cell_in_an_order_from_one_to_all(mdata):
    found = assays(mdata)
    has = {name: mdata.obs_names.isin(mdata[name].obs_names) for name in ("rna", "adt")}
    expected = [" + ".join(name for name in has if has[name][i]) for i in range(mdata.n_obs)]
    assert found.tolist() == expected
    assert list(found.cat.categories) == ["rna", "adt", "rna + adt"]


def test_what_a_prediction_and_its_truth_share_is_in_the_order_of_the_prediction(translated):
    pred, truth = translated()
    one, other = shared(pred[::-1, ::-1][:40], truth[10:80, 2:])
    assert one.obs_names.equals(other.obs_names)
    assert one.var_names.equals(other.var_names)
    assert one.obs_names.tolist() == [f"c{i}" for i in range(79, 59, -1)]
    assert one.var_names.tolist() == ["p05", "p04", "p03", "p02"]
    with pytest.raises(ValueError, match=r"no cells in common: 'c0', ... against 'c50'"):
        shared(pred[:50], truth[50:])
    with pytest.raises(ValueError, match="no features in common"):
        shared(pred[:, :2], truth[:, 3:])


def test_normalised_truth_is_not_compared_with_counts(translated):
    pred, truth = translated()
    logged = truth.copy()
    logged.layers["counts"] = truth.X.copy()
    logged.X = np.log1p(dense(truth.X))
    with pytest.raises(ValueError, match=r"its layer 'counts' has\..*truth\.X = truth\.layers\['counts'\]"):
        shared(pred, logged)
    del logged.layers["counts"]
    assert shared(pred, logged)[1].n_obs, "no one knows better"


def test_cells_that_a_prediction_is_judged_by(translated):
    pred, _ = translated()
    known = np.arange(100) < 60
    assert scored(pred, known, {("test",): "test cells"})[1] == "60 cells"
    pred.obs["split"] = np.where(np.arange(100) < 45, "train", "test")
    rows, words = scored(pred, known, {("validation",): "x", ("test",): "held-out cells"})
    assert (words, np.flatnonzero(rows).tolist()) == ("15 held-out cells", list(range(45, 60)))
    rows, words = scored(pred, known, {("validation",): "x"})
    assert (words, rows.sum()) == ("60 cells, 45 of them trained on", 60)


def test_results_of_other_verbs_are_refused_by_the_name_of_the_right_one(translated):
    pred, _ = translated()
    need_layers(pred, "lower", "upper")
    with pytest.raises(ValueError, match=r"no layer 'mean': run `scvcell.tl.translate"):
        need_layers(pred, "lower", "mean")
    frame = pd.DataFrame({"a": [1], "b": [2]})
    need(frame, ["a"], "effects")
    for other in (frame[["b"]], frame.iloc[:0]):
        with pytest.raises(ValueError, match=r"needs columns a: run `scvcell.tl.effects"):
            need(other, ["a"], "effects")


def test_one_part_of_a_frame_of_effects_and_its_title(frame):
    both = pd.concat([frame, frame.assign(group="T cells"), frame.assign(modality="adt", lfc=0.0)])
    both["action"] = "A"
    rows, title, more = part(both, None, None)
    assert (len(rows), title, more) == (60, "A in B cells", "1 of 2 groups, rna (1 of 2 modalities)")
    rows, title, _ = part(both, "B cells", "adt")
    assert (rows["lfc"] == 0).all()
    assert part(frame.assign(group="all"), None, None)[1] == "all cells"
    with pytest.raises(ValueError, match=r"no group 'NK'; it has \['B cells', 'T cells'\]"):
        part(both, "NK", None)
    with pytest.raises(ValueError, match=r"no modality 'atac'"):
        part(both, None, "atac")
