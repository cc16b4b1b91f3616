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


class GPU:
    """Stands for torch.cuda: what was asked of it, and one generator."""

    def __init__(self, monkeypatch, *, started):
        self.state, self.asked = torch.tensor([3]), []
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: self.asked.append("read") or [self.state])
        monkeypatch.setattr(torch.cuda, "set_rng_state_all", self.set_all)
        monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: setattr(self, "state", torch.tensor([seed])))
        monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)

    def set_all(self, states):
        (self.state,) = states


def test_a_gpu_in_use_is_seeded_and_goes_on_as_before(monkeypatch):
    gpu = GPU(monkeypatch, started=True)
    with seeded(5):
        assert gpu.state.item() == 5
    assert gpu.state.item() == 3


def test_a_gpu_that_nobody_has_used_is_not_started_and_has_the_users_seed(monkeypatch):
    gpu = GPU(monkeypatch, started=False)
    torch.manual_seed(11)
    with seeded(5):
        assert gpu.state.item() == 5, "a fit on it must depend on its seed"
    assert gpu.asked == []
    assert gpu.state.item() == 11


def test_apples_gpu_goes_on_as_before(monkeypatch):
    found = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "before")
    monkeypatch.setattr(torch.mps, "set_rng_state", found.append)
    monkeypatch.setattr(torch.mps, "_is_in_bad_fork", lambda: True)
    with seeded(5):
        assert found == []
    assert found == ["before"]


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
