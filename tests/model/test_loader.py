"""The walk through mini-batches: every cell once, orders by seed and pass, shares of ranks, goes on where it ended."""

from itertools import chain, product

import numpy as np
import pytest
import torch

from scvcell.measure._nb import dense
from scvcell.model._loader import Loader
from scvcell.state import Batch


def source_of(model, data):
    return model.source(model.view(data))


@pytest.fixture
def small_buffers(monkeypatch):
    """Files are read in several buffers, of several blocks each."""
    monkeypatch.setattr("scvcell.model._loader.CELLS_PER_BUFFER", 48)
    monkeypatch.setattr("scvcell.model._source.CELLS_PER_READ", 5)


def collect(loader):
    """Every cell's content, by position in the data: ``cell -> {modality: (x, scores, depth)}``."""
    cells = {}
    for batch in loader:
        for i, cell in enumerate(batch.index.tolist()):
            assert cell not in cells, "a cell came twice"
            cells[cell] = {"design": batch.context.design[i], "batch": int(batch.context.batch[i])}
        for name, o in batch.observed.items():
            x = dense(o.x)
            for j, at in enumerate(o.rows.tolist()):
                cells[int(batch.index[at])][name] = (x[j], o.scores[j], o.depth[j])
    return cells


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr", "zarr dense"])
def test_each_cell_comes_once_with_its_own_values(setting, stored, small_buffers, form):
    mdata, model = setting
    data = stored(mdata, form)
    source = source_of(model, data)
    assert source.on_disk == (form != "csr_matrix")
    index = np.flatnonzero(np.random.default_rng(0).random(mdata.n_obs) < 0.8)
    truth = {m: dict(zip(a.obs_names, a.X.toarray(), strict=True)) for m, a in mdata.mod.items()}
    for batch_size, shuffle in product([7, 16, 1000], [False, True]):
        loader = Loader(source, index, batch_size, shuffle=shuffle, seed=3)
        assert len(loader) == sum(1 for _ in loader)
        ranks = [Loader(source, index, batch_size, shuffle=shuffle, seed=3, rank=rank, world=3) for rank in range(3)]
        cells = collect(chain(*ranks))
        assert sorted(cells) == index.tolist()
        for cell, content in cells.items():
            name = data.obs_names[cell]
            assert content["batch"] == model.schema.batches.index(mdata.obs.at[name, "batch"])
            for modality in ("rna", "adt"):
                assert (modality in content) == (name in truth[modality])
                if modality in content:
                    x, _, depth = content[modality]
                    np.testing.assert_array_equal(x, truth[modality][name])
                    assert float(depth) == truth[modality][name].sum()


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr"])
def test_orders_differ_between_passes_and_follow_the_seed(setting, stored, form):
    mdata, model = setting
    source = source_of(model, stored(mdata, form))
    index = np.arange(mdata.n_obs)

    def orders(seed):
        loader = Loader(source, index, 16, shuffle=True, seed=seed)
        return [torch.cat([b.index for b in loader]).tolist() for _ in range(2)]

    first, second = orders(1)
    assert first != second
    assert first != sorted(first)
    assert orders(1) == [first, second]
    assert orders(2)[0] != first


@pytest.mark.parametrize(("n", "sizes"), [(40, [16, 16, 8]), (35, [16, 19]), (36, [16, 16, 4]), (3, [3])])
def test_a_small_remainder_joins_the_batch_before_it(setting, n, sizes):
    mdata, model = setting
    source = source_of(model, mdata)
    assert [len(b) for b in Loader(source, np.arange(n), 16, shuffle=True)] == sizes


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr", "zarr dense"])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_a_pass_goes_on_where_it_was_left_on_any_number_of_ranks(setting, stored, small_buffers, form, world):
    mdata, model = setting
    source, index = source_of(model, stored(mdata, form)), np.arange(mdata.n_obs - 3)
    alone = Loader(source, index, 16, shuffle=True, seed=4)
    whole, steps = [*alone, *alone], len(alone)
    assert alone.state_dict()["epoch"] == 2
    for left_after in (1, 2, steps - 1, steps, steps + 3):
        shares = []
        for rank in range(world):
            loader = Loader(source, index, 16, shuffle=True, seed=4, rank=rank, world=world)
            walk = iter(loader)
            for number in range(left_after):
                if number == steps:
                    walk = iter(loader)
                next(walk)
            again = Loader(source, index, 16, shuffle=True, seed=4, rank=rank, world=world)
            again.load_state_dict(loader.state_dict())
            again.set_epoch(again.epoch)  # where it is already
            shares.append(list(again))
        rest = whole[left_after : steps * (1 if left_after < steps else 2)]
        for batch, parts in zip(rest, zip(*shares, strict=True), strict=True):
            cells = [part.index.tolist() for part in parts]
            assert [part.n_global for part in parts] == [len(batch)] * world
            if source.on_disk and world > 1:
                assert np.concatenate(cells).tolist() == sorted(batch.index.tolist()), "neighbours are one rank's"
                assert [len(part) for part in parts] == [len(batch.index[rank::world]) for rank in range(world)]
            else:
                assert cells == [batch.index[rank::world].tolist() for rank in range(world)]


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr"])
@pytest.mark.parametrize("steps", [3, 5])
def test_an_iteration_may_end_within_a_pass_and_the_next_one_goes_on_there(setting, stored, small_buffers, form, steps):
    mdata, model = setting
    source, index = source_of(model, stored(mdata, form)), np.arange(mdata.n_obs - 3)
    alone = Loader(source, index, 16, shuffle=True, seed=4)
    assert len(alone) == 8
    whole = [batch.index.tolist() for _ in range(3) for batch in alone]
    loader = Loader(source, index, 16, shuffle=True, seed=4)
    loader.steps = steps
    assert len(loader) == steps
    parts, states = [], []
    for _ in range(24 // steps):
        walk = iter(loader)
        parts.append([next(walk).index.tolist() for _ in range(steps)])  # never asked for more, as by Lightning
        states.append(loader.state_dict())
    assert list(chain(*parts)) == whole[: 24 // steps * steps]
    for done in (1, steps, steps + 1, 2 * steps):
        again = Loader(source, index, 16, shuffle=True, seed=4)
        again.steps = steps
        again.load_state_dict({**states[0], "epoch": done // 8, "position": done % 8})
        end = (done // steps + 1) * steps
        assert [batch.index.tolist() for batch in again] == whole[done:end]
        assert [batch.index.tolist() for batch in again] == whole[end : end + steps]


def test_an_epoch_can_be_set_and_nothing_global_moves(setting):
    mdata, model = setting
    source, index = source_of(model, mdata), np.arange(60)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002

    def epoch(number):
        loader = Loader(source, index, 16, shuffle=True, seed=1)
        loader.set_epoch(number)
        return torch.cat([b.index for b in loader]).tolist()

    third = epoch(2)
    loader = Loader(source, index, 16, shuffle=True, seed=1)
    assert [torch.cat([b.index for b in loader]).tolist() for _ in range(3)][2] == third
    assert epoch(1) != third
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_position_in_other_data_is_refused(setting):
    mdata, model = setting
    source = source_of(model, mdata)
    loader = Loader(source, np.arange(60), 16, shuffle=True, seed=1)
    next(iter(loader))
    for n, batch_size, seed, what in ((59, 16, 1, "cells 59"), (60, 8, 1, "batch_size 8"), (60, 16, 2, "seed 2")):
        with pytest.raises(ValueError, match=what):
            Loader(source, np.arange(n), batch_size, shuffle=True, seed=seed).load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match="rank must be one of 0 to 1, not 2"):
        Loader(source, np.arange(60), 16, rank=2, world=2)


@pytest.mark.parametrize("form", ["csr_matrix", "h5ad csr"])
@pytest.mark.parametrize("values", [True, False])
def test_for_a_gpu_the_same_mini_batches_are_pinned_one_ahead(setting, stored, monkeypatch, form, values):
    monkeypatch.setattr("scvcell.model._loader.CELLS_PER_BUFFER", 48)
    mdata, model = setting
    source, index, made = source_of(model, stored(mdata, form)), np.arange(mdata.n_obs), []
    monkeypatch.setattr(Batch, "pinned", lambda batch: made.append(batch.index) or batch)
    usual, ahead = (
        Loader(source, index, 16, shuffle=True, seed=1, values=values, device=device) for device in ("cpu", "cuda:1")
    )
    for number, (one, other) in enumerate(zip(usual, ahead, strict=True)):
        assert torch.equal(one.index, other.index)
        assert list(one.observed) == list(other.observed)
        for name, o in one.observed.items():
            assert torch.equal(dense(o.x), dense(other.observed[name].x))
            assert torch.equal(o.scores, other.observed[name].scores)
        assert usual.state_dict() == ahead.state_dict()
        assert len(made) <= number + 3
    assert torch.equal(torch.cat(made).sort().values, torch.from_numpy(index))
    broken = Loader(source, index, 16, device="cuda")
    monkeypatch.setattr(source, "cut", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(broken)
