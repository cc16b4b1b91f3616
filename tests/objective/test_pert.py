import torch

from scvcell.objective import energy_distance


def test_zero_for_one_distribution_and_positive_for_two():
    torch.manual_seed(0)
    x, y = torch.randn(300, 4), torch.randn(300, 4)
    assert abs(energy_distance(x, y)) < 0.05
    assert energy_distance(x, y + 1) > 0.5


def test_sees_more_than_means():
    torch.manual_seed(0)
    x, y = torch.randn(300, 4), 3 * torch.randn(300, 4)
    assert energy_distance(x, y - y.mean(0) + x.mean(0)) > 0.3


def test_batches_of_sets():
    torch.manual_seed(0)
    x, y = torch.randn(3, 50, 4), torch.randn(3, 40, 4)
    torch.testing.assert_close(energy_distance(x, y)[1], energy_distance(x[1], y[1]))


def test_weights_stand_for_more_of_a_cell():
    torch.manual_seed(0)
    x, y = torch.randn(60, 4), torch.randn(80, 4)
    torch.testing.assert_close(energy_distance(x, y, torch.full((60,), 1 / 60)), energy_distance(x, y))
    half = torch.cat([torch.full((30,), 1 / 30), torch.zeros(30)])
    torch.testing.assert_close(energy_distance(x, y, half), energy_distance(x[:30], y))
