"""InfoNCE and MMD against loops written from their definitions."""

import numpy as np
import pytest
import torch

from scvcell.objective import info_nce, mmd


def draw(n, d=4, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def loop_info_nce(a, b, tau, batch):
    """Eq. 1 cell by cell, in both directions."""

    def cosine(x, y):
        return x @ y / np.sqrt((x @ x) * (y @ y))

    losses = []
    for query, reference in ((a, b), (b, a)):
        for i in range(len(a)):
            positive = np.exp(cosine(query[i], reference[i]) / tau)
            negative = sum(
                np.exp(cosine(query[i], reference[k]) / tau) for k in range(len(a)) if k != i and batch[k] == batch[i]
            )
            losses.append(-np.log(positive / (positive + negative)))
    return np.mean(losses)


@pytest.mark.parametrize("tau", [0.1, 1.0])
@pytest.mark.parametrize("batch", [None, [0, 1, 0, 1, 1, 2, 0]], ids=["one batch", "three batches"])
def test_info_nce_is_the_loop(tau, batch):
    a, b = draw(7, seed=1), draw(7, seed=2)
    codes = None if batch is None else torch.tensor(batch)
    value = info_nce(a, b, torch.tensor(tau, dtype=torch.float64).log(), codes)
    assert value.item() == pytest.approx(loop_info_nce(a.numpy(), b.numpy(), tau, batch or [0] * 7))


def test_info_nce_in_half_precision():
    a, b, codes = draw(7, seed=1), draw(7, seed=2), torch.tensor([0, 1, 0, 1, 1, 2, 0])
    value = info_nce(a.half(), b.half(), torch.tensor(0.0, dtype=torch.float16), codes)
    assert value.item() == pytest.approx(info_nce(a, b, torch.zeros((), dtype=torch.float64), codes).item(), rel=1e-2)


def test_info_nce_ignores_length_and_rewards_the_true_pairs():
    a, b = draw(20, seed=1), draw(20, seed=2)
    log_tau = torch.tensor(0.1).log().double()
    torch.testing.assert_close(info_nce(a, b, log_tau), info_nce(3 * a, 0.1 * b, log_tau))
    assert info_nce(a, a, log_tau) < info_nce(a, a.roll(1, 0), log_tau)


def test_info_nce_of_a_cell_alone_in_its_batch_is_zero():
    value = info_nce(draw(2, seed=1), draw(2, seed=2), torch.tensor(0.1).log().double(), torch.tensor([0, 1]))
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_info_nce_gradient():
    a, b = draw(5, seed=1).requires_grad_(), draw(5, seed=2).requires_grad_()
    log_tau = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    codes = torch.tensor([0, 0, 1, 1, 1])
    assert torch.autograd.gradcheck(lambda *x: info_nce(*x, codes), (a, b, log_tau))


def loop_mmd(a, b):
    def kernel(x, y):
        distance = ((x - y) ** 2).sum()
        return np.mean([s * len(x) / (s * len(x) + distance) for s in (0.2, 1.0, 5.0)])

    n, m = len(a), len(b)
    aa = np.mean([kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j])
    bb = np.mean([kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j])
    ab = np.mean([kernel(a[i], b[j]) for i in range(n) for j in range(m)])
    return aa + bb - 2 * ab


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_mmd_is_the_double_loop(shift):
    a, b = draw(9, seed=1), draw(6, seed=2, shift=shift)
    assert mmd(a, b).item() == pytest.approx(loop_mmd(a.numpy(), b.numpy()))


def test_mmd_is_unbiased_and_sees_a_shift():
    same = np.mean([mmd(draw(30, seed=s), draw(30, seed=1000 + s)).item() for s in range(200)])
    assert abs(same) < 2e-3
    assert mmd(draw(30, seed=1), draw(30, seed=2, shift=1.0)) > 0.05


def test_mmd_of_too_few_cells_is_zero():
    assert mmd(draw(1), draw(5)) == 0
    assert mmd(draw(5), draw(1)) == 0


def test_mmd_gradient_is_finite_where_cells_coincide():
    a = draw(6, seed=1)
    a[1] = a[0]
    a.requires_grad_()
    (grad,) = torch.autograd.grad(mmd(a, draw(6, seed=2)), a)
    assert torch.isfinite(grad).all()
    assert torch.autograd.gradcheck(lambda x: mmd(x, draw(4, seed=3)), (draw(5, seed=4).requires_grad_(),))
