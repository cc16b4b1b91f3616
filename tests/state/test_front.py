"""The linear front-end: the subspace of an exact SVD, the same for every form of data, unchanged for query cells."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import subspace_angles

from scvcell._containers._matrix import Matrix
from scvcell.measure import Atac, Counts, Profile, Protein
from scvcell.state._front import FrontEnd


def data(n=400, genes=120, rank=6, n_batches=3, seed=0):
    """Counts with `rank` strong directions and batch shifts."""
    rng = np.random.default_rng(seed)
    batch = rng.integers(n_batches, size=n)
    scale = np.linspace(1.6, 0.9, rank)
    log_rate = (rng.normal(size=(n, rank)) * scale) @ (rng.normal(size=(rank, genes)) / np.sqrt(rank))
    log_rate += 1.0 * rng.normal(size=(n_batches, genes))[batch]
    return rng.poisson(20 * np.exp(log_rate)).astype(np.float32), batch


def fitted(x, batch, n_components=6, operator=Counts, rows=None, seed=0):
    rows = np.arange(len(batch)) if rows is None else rows
    front = FrontEnd(operator, Matrix(x).shape[1], int(batch.max()) + 1, n_components)
    front.fit(Matrix(x), rows, batch[rows], np.random.default_rng(seed))
    return front


def centred(x, batch):
    """Encoder input less the mean of its batch."""
    y = np.asarray(Counts.encoder_input(x, x.mean(0)), dtype=np.float64)
    for b in np.unique(batch):
        y[batch == b] -= y[batch == b].mean(0)
    return y


def test_loadings_span_the_leading_subspace_of_the_batch_centred_input():
    x, batch = data()
    loadings = fitted(x, batch).loadings.numpy()
    _, _, vt = np.linalg.svd(centred(x, batch), full_matrices=False)
    assert np.rad2deg(subspace_angles(loadings, vt[:6].T)).max() < 3
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(6), atol=1e-4)


def test_loadings_capture_the_variance_of_an_exact_svd_also_without_a_gap():
    x, batch = data()
    y = centred(x, batch)
    exact = (np.linalg.svd(y, compute_uv=False)[:20] ** 2).sum()
    ours = (np.linalg.svd(y @ fitted(x, batch, 20).loadings.numpy(), compute_uv=False) ** 2).sum()
    assert ours > 0.995 * exact


def test_batch_shifts_are_no_direction():
    """A shift of half the genes between batches would be the first component without centring."""
    x, batch = data()
    x[batch == 0] *= np.random.default_rng(5).choice([1, 8], x.shape[1]).astype(np.float32)
    loadings = fitted(x, batch).loadings.numpy()
    _, _, vt = np.linalg.svd(centred(x, batch), full_matrices=False)
    assert np.rad2deg(subspace_angles(loadings, vt[:6].T)).max() < 5


def test_every_form_of_the_data_gives_the_same(mosaic, stored, form):
    rna = mosaic(200, genes=80)["rna"]
    batch = rna.obs["batch"].cat.codes.to_numpy().astype(np.int64)
    truth, ours = fitted(rna.X, batch, 10), fitted(stored(rna, form).X, batch, 10)
    for key, value in truth.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-3, atol=1e-4)
    rows = np.random.default_rng(0).permutation(rna.n_obs)
    np.testing.assert_allclose(
        ours.scores(Matrix(stored(rna, form).X), rows), truth.scores(Matrix(rna.X), rows), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("operator", [Counts, Atac, Profile, Protein])
def test_products_that_a_device_takes_change_nothing(monkeypatch, operator):
    """The CPU stands for the device; torch takes the products instead of scipy."""
    x, batch = data()
    panel = np.ones((3, x.shape[1]), bool)
    panel[1, :30] = False
    x[batch == 1, :30] = 0
    usual = fitted(sp.csr_matrix(x), batch, operator=operator)
    scores = usual.scores(Matrix(sp.csr_matrix(x)), np.arange(len(x)), batch, panel)
    monkeypatch.setattr("scvcell.state._product.MULTIPLYING", ("cpu",))
    front = fitted(sp.csr_matrix(x), batch, operator=operator)
    for name, value in usual.state_dict().items():
        torch.testing.assert_close(front.state_dict()[name], value, rtol=1e-3, atol=1e-3, msg=name)
    found = usual.scores(Matrix(sp.csr_matrix(x)), np.arange(len(x)), batch, panel)
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-4)


def test_walking_in_chunks_changes_nothing(monkeypatch):
    x, batch = data()
    whole = fitted(x, batch)
    monkeypatch.setattr(
        Matrix, "chunks", lambda self, index, size=33: (self.rows(index[i : i + 33]) for i in range(0, len(index), 33))
    )
    parts = fitted(x, batch)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[key], value, rtol=1e-3, atol=1e-3)


def test_scores_are_projections_and_log_depth():
    x, batch = data()
    front = fitted(x, batch)
    rows = np.array([5, 0, 399])
    scores = front.scores(Matrix(x), rows)
    value = Counts.encoder_input(x, x.mean(0))
    np.testing.assert_allclose(scores[:, :-1], value[rows] @ front.loadings.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scores[:, -1], np.log1p(x[rows].sum(1)), rtol=1e-5)


def test_output_is_standardised_within_batch():
    x, batch = data()
    front = fitted(x, batch)
    out = front(torch.from_numpy(front.scores(Matrix(x), np.arange(400))), torch.from_numpy(batch)).numpy()
    for b in range(3):
        np.testing.assert_allclose(out[batch == b].mean(0), 0, atol=1e-3)
    sd = out.std(0)
    assert sd[:-1].max() == pytest.approx(3, rel=0.02), "the first component has sd 3"
    assert sd[-1] == pytest.approx(1, rel=0.02), "depth has sd 1"


def test_small_panels_are_standardised_without_projection():
    x = np.random.default_rng(0).poisson(5.0, (200, 10)).astype(np.float32)
    batch = np.repeat([0, 1], 100)
    front = fitted(x, batch, operator=Protein)
    assert front.width == 11
    scores = front.scores(Matrix(x), np.arange(200))
    np.testing.assert_allclose(scores[:, :-1], np.log1p(x), rtol=1e-5)
    out = front(torch.from_numpy(scores), torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(out[batch == 1].std(0), 1, rtol=0.02)


def test_only_training_rows_are_learned_from():
    x, batch = data()
    rows = np.arange(0, 400, 2)
    front = fitted(x, batch, rows=rows)
    other = x.copy()
    other[1::2] = 7
    again = fitted(other, batch, rows=rows)
    for key, value in front.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


@pytest.mark.parametrize("cells", [0, 1, 5])
def test_a_batch_of_few_cells_takes_the_overall_scale(cells):
    x, _ = data(200)
    batch = np.zeros(200, np.int64)
    batch[:cells] = 1
    front = FrontEnd(Counts, 120, 2, 6)
    front.fit(Matrix(x), np.arange(200), batch, np.random.default_rng(0))
    overall = front.scores(Matrix(x), np.arange(200))
    np.testing.assert_allclose(front.score_mean[1], overall.mean(0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(front.score_sd[1], overall.std(0), rtol=1e-3)
    assert torch.isfinite(front(torch.from_numpy(overall), torch.from_numpy(batch))).all()


def test_constant_and_silent_features_stay_finite():
    x = np.random.default_rng(0).poisson(2.0, (50, 6)).astype(np.float32)
    x[:, 0], x[:, 1] = 0, 3
    front = fitted(x, np.zeros(50, np.int64), operator=Protein)
    out = front(torch.from_numpy(front.scores(Matrix(x), np.arange(50))), torch.zeros(50, dtype=torch.long))
    assert torch.isfinite(out).all()
    assert (out[:, :2].abs() < 0.1).all()
    assert (out[:, 2:].std(0) > 0.9).all()


def test_a_feature_that_was_silent_in_training_does_not_explode_in_query_cells():
    x = np.random.default_rng(0).poisson(5.0, (200, 6)).astype(np.float32)
    x[:, 0] = 0
    front = fitted(x, np.zeros(200, np.int64), operator=Protein)
    query = x[:1].copy()
    query[0, 0] = 1
    out = front(torch.from_numpy(front.scores(Matrix(query), np.array([0]))), torch.tensor([0]))
    assert out.abs().max() < 50


def test_adapt_learns_new_batches_and_leaves_known_ones():
    x, batch = data()
    known = batch < 2
    front = FrontEnd(Counts, 120, 3, 6)
    front.fit(Matrix(x), np.flatnonzero(known), batch[known], np.random.default_rng(0))
    before = {k: v.clone() for k, v in front.state_dict().items()}
    front.adapt(Matrix(x), np.flatnonzero(~known), batch[~known], first_new=2)
    after = front.state_dict()
    for key in ("loadings", "scale"):
        assert torch.equal(after[key], before[key])
    for key in ("score_mean", "score_sd"):
        assert torch.equal(after[key][:2], before[key][:2])
    new = front.scores(Matrix(x), np.flatnonzero(~known))
    np.testing.assert_allclose(after["score_mean"][2], new.mean(0), rtol=1e-4)
    np.testing.assert_allclose(after["score_sd"][2], new.std(0), rtol=1e-3)


def test_fit_is_repeatable_and_uses_a_subsample_of_large_data(monkeypatch):
    monkeypatch.setattr("scvcell.state._front.MAX_FIT_CELLS", 150)
    x, batch = data()
    one, other = fitted(x, batch, seed=1), fitted(x, batch, seed=1)
    assert torch.equal(one.loadings, other.loadings)
    assert not torch.equal(one.loadings, fitted(x, batch, seed=2).loadings)
    _, _, vt = np.linalg.svd(centred(x, batch), full_matrices=False)
    assert np.rad2deg(subspace_angles(one.loadings.numpy(), vt[:6].T)).max() < 25


@pytest.mark.parametrize("operator", [Counts, Atac, Profile, Protein])
@pytest.mark.parametrize("width", [120, 30])
@pytest.mark.parametrize("fmt", [np.asarray, sp.csr_matrix])
def test_features_that_were_not_measured_are_expected_from_those_that_were(operator, width, fmt):
    """Scores of cells of which half the features are missing are near those of all; with zeros they are not."""
    x, batch = data(genes=width, n_batches=1)
    front = fitted(fmt(x), batch, operator=operator)
    every, rows = np.ones((1, width), bool), np.arange(400)
    truth = front.scores(Matrix(fmt(x)), rows)
    np.testing.assert_allclose(front.scores(Matrix(fmt(x)), rows, batch, every), truth, atol=1e-4)
    observed = np.random.default_rng(1).random((1, width)) < 0.5
    zeros = fmt(x * observed)
    error = [
        np.abs((front.scores(Matrix(zeros), *args) - truth) / truth.std(0).clip(1e-3)).mean(0)
        for args in ((rows,), (rows, batch, observed))
    ]
    assert error[1][:-1].mean() < 0.65 * error[0][:-1].mean()
    assert error[1][-1] <= 0.6 * error[0][-1], "depth"
    assert error[1].mean() < 0.75
    nothing = front.scores(Matrix(fmt(0 * x)), rows[:1], batch, ~every)[:, :-1]
    loadings = front.loadings.numpy() if front.project else np.eye(width)
    np.testing.assert_allclose(nothing, front.centre.numpy() @ loadings, atol=1e-3)


@pytest.mark.parametrize("operator", [Counts, Protein, Profile])
def test_a_panel_of_training_is_encoded_as_it_was_and_less_than_it_as_missing(operator):
    x, batch = data(n_batches=1)
    batch = np.arange(400) % 2
    panel = np.ones((2, 120), bool)
    panel[1, 90:] = False
    seen, rows = x * panel[batch], np.arange(400)
    front = FrontEnd(operator, 120, 2, 6)
    front.fit(Matrix(seen), rows, batch, np.random.default_rng(0), panel)
    truth = front.scores(Matrix(seen), rows)
    np.testing.assert_array_equal(front.scores(Matrix(seen), rows, batch, panel), truth)
    fewer = panel.copy()
    fewer[:, :40] = False
    zeros = Matrix(x * fewer[batch])
    error = [np.abs(front.scores(zeros, *args) - truth).mean() for args in ((rows,), (rows, batch, fewer))]
    assert error[1] < 0.7 * error[0]
