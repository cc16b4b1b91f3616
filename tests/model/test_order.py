"""The order of cells: each once per pass, the same on all ranks, a function of seed and epoch alone."""

import numpy as np
import pytest

from scvcell.model._order import Order

INDEX = np.sort(np.random.default_rng(0).choice(400, 237, replace=False))
STARTS = np.array([0, 31, 60, 100, 130, 190, 220])


def order_of(n=237, batch_size=16, world=1, blocks=False, seed=5):
    if not blocks:
        return Order(INDEX[:n], batch_size, seed, world)
    return Order(INDEX[:n], batch_size, seed, world, per_buffer=3, starts=STARTS[: np.searchsorted(STARTS, n)])


def batches(order, epoch, first=0):
    """Every mini-batch of a pass from `first` on."""
    out = []
    for step in range(first, len(order)):
        number, steps = order.buffer_of(step)
        start, stop = order.bounds(step)
        base = order.bounds(steps[0])[0]
        out.append(order.buffer(epoch, number)[start - base : stop - base])
    return out


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [237, 236, 225, 17, 16, 15, 6])
def test_ranks_share_each_batch_and_each_cell_comes_once(blocks, world, n):
    alone, order = order_of(n, blocks=blocks), order_of(n, blocks=blocks, world=world)
    for epoch in (0, 1):
        whole = batches(order, epoch)
        shares = [[order.share(batch, rank) for batch in whole] for rank in range(world)]
        sizes = np.array([[len(cells) for cells in share] for share in shares])
        assert sizes.min() >= 1
        assert (np.ptp(sizes, 0) <= 1).all()
        union = np.concatenate([np.concatenate(share) for share in shares])
        np.testing.assert_array_equal(np.sort(union), INDEX[:n])
        for one, other in zip(batches(alone, epoch), whole, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("world", [2, 4])
def test_a_rank_reads_few_of_the_blocks_of_a_buffer(world):
    """Of 4,096 cells in blocks of 128, mixed in mini-batches of 512; the blocks at the ends of its part are shared."""
    starts = np.arange(0, 4096, 128)
    order = Order(np.arange(4096), 512, 3, world, per_buffer=8, starts=starts)
    for rank in range(world):
        mine = np.concatenate([order.share(batch, rank) for batch in batches(order, 0)])
        assert len(mine) == 4096 / world
        assert len(np.unique(mine // 128)) <= 32 / world + 6


def test_fewer_cells_than_ranks_are_repeated_so_that_no_rank_has_none():
    order = order_of(3, world=5)
    (cells,) = batches(order, 0)
    assert [len(order.share(cells, rank)) for rank in range(5)] == [1] * 5
    assert {int(order.share(cells, rank)[0]) for rank in range(5)} == set(INDEX[:3].tolist())


def test_a_remainder_smaller_than_the_ranks_joins_the_batch_before_it_also_in_order():
    for n, world, sizes in ((34, 1, [16, 16, 2]), (34, 3, [16, 18]), (35, 3, [16, 16, 3])):
        assert [len(b) for b in batches(Order(np.arange(n), 16, None, world), 0)] == sizes


@pytest.mark.parametrize("blocks", [False, True])
def test_passes_differ_and_any_of_them_can_be_made_alone(blocks):
    order = order_of(blocks=blocks)
    third = np.concatenate(batches(order, 3))
    for epoch in (0, 3, 1, 3):
        assert (np.concatenate(batches(order_of(blocks=blocks), epoch)) == third).all() == (epoch == 3)
    assert (np.concatenate(batches(order_of(blocks=blocks, seed=6), 3)) != third).any()
    late = batches(order_of(blocks=blocks), 3, first=7)
    np.testing.assert_array_equal(np.concatenate(late), third[7 * 16 :])


def test_a_buffer_holds_few_blocks_and_mixes_them():
    order = order_of(blocks=True)
    for epoch in range(3):
        for number in range(5):
            block = np.searchsorted(STARTS, np.searchsorted(INDEX, order.buffer(epoch, number)), side="right")
            assert len(np.unique(block)) <= 4
            if len(np.unique(block)) > 1:
                assert (np.diff(block) != 0).sum() > len(np.unique(block))


def test_without_a_seed_cells_come_as_they_are():
    np.testing.assert_array_equal(np.concatenate(batches(Order(INDEX, 16, per_buffer=2), 0)), INDEX)
    assert len(Order(INDEX[:0], 16)) == 0
    assert not len(Order(INDEX[:0], 16, 1).buffer(0, 0))
