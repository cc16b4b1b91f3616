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
    """A second thread waits until the first one has left."""
    inside, order = threading.Event(), []

    def first():
        with seeded(3):
            order.append(torch.rand(1))
            inside.set()
            second.join(0.2)
            order.append(torch.rand(1))

    def wait():
        inside.wait()
        with seeded(4):
            order.append(torch.rand(1))

    second = threading.Thread(target=wait)
    second.start()
    first()
    second.join()
    with seeded(3):
        expected = [torch.rand(1) for _ in range(2)]
    with seeded(4):
        expected.append(torch.rand(1))
    assert torch.equal(torch.cat(order), torch.cat(expected))
