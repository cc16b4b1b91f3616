"""Encoders: a linear skip beside networks, a bounded variance, and one network or all in training."""

import numpy as np
import torch

from scvcell.state._encoder import Encoder


def test_encoder_is_linear_plus_network_and_starts_with_the_stated_variance():
    torch.manual_seed(0)
    encoder = Encoder(8, 3, n_networks=2).eval()
    h = torch.randn(20, 8)
    mean, var = encoder(h)
    assert mean.shape == var.shape == (20, 3)
    with torch.no_grad():
        for network in encoder.networks:
            network.skip.weight.add_(1.0)
        torch.testing.assert_close(encoder(h)[0] - mean, h.sum(1, keepdim=True).expand(-1, 3), rtol=1e-4, atol=1e-4)
        for network in encoder.networks:
            network.head.weight.zero_()
    torch.testing.assert_close(encoder(h)[1], torch.full((20, 3), float(np.exp(-1))))


def test_variance_is_bounded():
    encoder = Encoder(4, 2).eval()
    with torch.no_grad():
        for network in encoder.networks:
            network.head.bias[2:] = torch.tensor([100.0, -100.0])
            network.head.weight.zero_()
        _, var = encoder(torch.randn(3, 4))
    np.testing.assert_allclose(var[0], np.exp([4.0, -10.0]), rtol=1e-5)


def test_one_network_alone_or_both_in_training_and_always_both_after_it():
    encoder = Encoder(4, 2, n_networks=2, dropout=0.0)
    h = torch.randn(400, 4)
    first, second = (network(h)[0] for network in encoder.networks)
    both = (first + second) / 2

    def share(of):
        return (encoder(h)[0] - of).abs().sum(1).lt(1e-5).float().mean()

    assert 0.4 < share(both) < 0.6
    assert 0.15 < share(first) < 0.35
    assert 0.15 < share(second) < 0.35
    encoder.eval()
    assert share(both) == 1
