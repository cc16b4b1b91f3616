"""New batches: what is known stays where it was, what is new starts at the mean."""

import pytest
import torch
from torch import nn

from scvcell.measure import Columns, Decoder, LinkedDecoder, widen

KNOWN, NEW, COVARIATES, LATENT, OUT = 3, 2, 2, 4, 5
COLUMNS = Columns.of(KNOWN, NEW, KNOWN + NEW + COVARIATES)


def filled(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module


def pair(make):
    torch.manual_seed(0)
    return filled(make(KNOWN + COVARIATES)), filled(make(KNOWN + NEW + COVARIATES))


def designs(n=20):
    batch = torch.arange(n) % KNOWN
    rest = torch.randn(n, COVARIATES)
    old = torch.cat([torch.eye(KNOWN)[batch], rest], 1)
    new = torch.cat([torch.eye(KNOWN + NEW)[batch], rest], 1)
    return old, new


def test_columns_of_covariates_come_after_new_batches():
    assert COLUMNS.kept == [0, 1, 2, 5, 6]


def test_known_cells_are_predicted_as_before():
    old, new = pair(lambda n_context: Decoder(LATENT, n_context, OUT, n_hidden=6))
    grew = widen(new, old, COLUMNS)
    z, (before, after) = torch.randn(20, LATENT), designs()
    torch.testing.assert_close(new(z, after), old(z, before))
    assert {name: axis for name, (axis, _) in grew.items()} == {"hidden.weight": 1, "context_bias": 0}
    assert grew["context_bias"][1].tolist() == [KNOWN, KNOWN + 1]
    assert grew["hidden.weight"][1].tolist() == [LATENT + KNOWN, LATENT + KNOWN + 1]


def test_new_batches_start_at_the_mean_of_the_known_ones():
    old, new = pair(lambda n_context: Decoder(LATENT, n_context, OUT, n_hidden=6))
    widen(new, old, COLUMNS)
    torch.testing.assert_close(new.context_bias[KNOWN], old.context_bias[:KNOWN].mean(0))
    mean = old.hidden.weight[:, LATENT : LATENT + KNOWN].mean(1)
    torch.testing.assert_close(new.hidden.weight[:, LATENT + KNOWN + 1], mean)


def test_decoders_that_a_prior_links():
    old, new = pair(lambda n_context: LinkedDecoder(Decoder(LATENT, n_context, OUT)))
    widen(new, old, COLUMNS)
    old.vectors = new.vectors = torch.randn(OUT, LATENT)
    z, (before, after) = torch.randn(20, LATENT), designs()
    torch.testing.assert_close(new(z, after), old(z, before))


def test_names_go_all_the_way_down():
    def make(n_context):
        return nn.ModuleDict({"a": nn.ModuleDict({"b": Decoder(LATENT, n_context, OUT)}), "c": nn.Linear(2, 3)})

    old, new = pair(make)
    grew = widen(new, old, COLUMNS)
    assert set(grew) == {"a.b.hidden.weight", "a.b.context_bias"} <= set(dict(new.named_parameters()))
    torch.testing.assert_close(new["c"].weight, old["c"].weight)


def test_without_new_batches_all_is_copied_and_nothing_grew():
    torch.manual_seed(0)
    old, new = (filled(Decoder(LATENT, KNOWN + COVARIATES, OUT)) for _ in range(2))
    assert widen(new, old, Columns.of(KNOWN, 0, KNOWN + COVARIATES)) == {}
    for a, b in zip(new.parameters(), old.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_what_does_not_say_how_it_grows_is_refused():
    old, new = pair(lambda n_context: nn.Linear(n_context + LATENT, OUT))
    with pytest.raises(ValueError, match=r"Linear cannot take new batches: its 'weight' of shape \(5, 9\) becomes"):
        widen(new, old, COLUMNS)


def test_a_decoder_of_something_else_than_the_context_is_refused():
    old, new = Decoder(LATENT, KNOWN + 1, OUT), Decoder(LATENT, KNOWN + NEW + 1, OUT)
    with pytest.raises(ValueError, match=r"'hidden.weight' does not grow as the context does"):
        widen(new, old, COLUMNS)
