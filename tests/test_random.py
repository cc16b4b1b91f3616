"""Torch's random numbers: the same from a seed, and left as they were found."""

import threading

import pytest
import torch

from scvcell._random import seeded


def test_a_seed_gives_the_same_numbers_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with seeded(5):
        found = torch.rand(3)
    assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_also_after_an_error_within_each_other_and_as_a_decorator():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="shape"), seeded(1):
        torch.rand(2).reshape(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(1):
        one = torch.rand(1)
        with seeded(2):
            torch.rand(7)
        two = torch.rand(1)

    @seeded(1)
    def draw():
        return torch.rand(2)

    assert torch.equal(draw(), torch.cat([one, two]))
    assert torch.equal(draw(), draw())


def test_threads_do_not_take_each_others_numbers():
    found = []

    def draw():
        with seeded(3):
            found.append(torch.cat([torch.rand(1) for _ in range(300)]))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(numbers, found[0]) for numbers in found)
