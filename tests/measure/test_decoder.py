"""Decoders against their formula, and as a product of factors."""

import pytest
import torch

from scvcell.measure import Decoder, LinkedDecoder

CELLS, LATENT, CONTEXT, OUT = 6, 3, 2, 5


@pytest.fixture
def setting():
    torch.manual_seed(0)
    decoder = Decoder(LATENT, CONTEXT, OUT, n_hidden=4).double()
    with torch.no_grad():
        decoder.context_bias.normal_()
    batch = torch.arange(CELLS) % CONTEXT
    return decoder, torch.randn(CELLS, LATENT, dtype=torch.float64), torch.eye(CONTEXT, dtype=torch.float64)[batch]


def test_one_hidden_layer_and_a_bias_per_context(setting):
    decoder, z, design = setting
    hidden = torch.cat([z, design], 1) @ decoder.hidden.weight.T + decoder.hidden.bias
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    expected = hidden @ decoder.out.weight.T + decoder.out.bias + decoder.context_bias[torch.arange(CELLS) % CONTEXT]
    torch.testing.assert_close(decoder(z, design), expected)


def test_the_value_is_the_product_of_its_factors(setting):
    decoder, z, design = setting
    h, v = decoder.factors(z, design)
    assert (len(h), len(v)) == (CELLS, OUT)
    torch.testing.assert_close(h @ v.T, decoder(z, design))


def test_a_linked_decoder_is_linear_in_the_vectors_and_keeps_the_biases(setting):
    decoder, z, design = setting
    linked = LinkedDecoder(decoder)
    with pytest.raises(RuntimeError, match="no feature vectors yet"):
        linked(z, design)
    linked.vectors = torch.randn(OUT, LATENT, dtype=torch.float64)
    with torch.no_grad():
        linked.scale.normal_()
    size = torch.log1p(linked.scale.exp())
    expected = size * (z @ linked.vectors.T) + decoder.out.bias + design @ decoder.context_bias
    torch.testing.assert_close(linked(z, design), expected)
    with torch.no_grad():
        linked.bias.zero_()
    assert decoder.out.bias.abs().sum() > 0, "biases are copied"
