"""The contract of measurement operators catches what it should, and passes what keeps it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from scvcell.measure import Decoder, Measurement
from scvcell.testing import check_measurement, example_summary


class Good(Measurement):
    """The smallest operator that keeps the contract; the others break one point each."""

    def __init__(self, n_latent, summary):
        super().__init__(n_latent, summary)
        self.decoder = Decoder(n_latent, summary.n_context, summary.n_features)

    def forward(self, z, ctx):
        return Normal(self.decoder(z, ctx.design), 1.0, validate_args=False)


class NotPerCell(Good):
    def log_prob(self, x, z, ctx, observed=None):
        return super().log_prob(x, z, ctx, observed).sum()


class NotFinite(Good):
    def log_prob(self, x, z, ctx, observed=None):
        return super().log_prob(x, z, ctx, observed) + x.sum(1).log()


class IgnoresState(Good):
    def forward(self, z, ctx):
        return Normal(self.decoder(0 * z, ctx.design), 1.0, validate_args=False)


class DependsOnMiniBatch(Good):
    def forward(self, z, ctx):
        return Normal(self.decoder(z - z.mean(0), ctx.design), 1.0, validate_args=False)


class IgnoresMask(Good):
    def log_prob(self, x, z, ctx, observed=None):
        return super().log_prob(x, z, ctx)


class NeedsDepth(Good):
    def predict(self, z, ctx):
        return super().predict(z, ctx) * (ctx.depth[:, None] if ctx.depth is not None else torch.nan)


class WrongShape(Good):
    def predict(self, z, ctx):
        return super().predict(z, ctx).sum(1)


class Forgets(Good):
    def __init__(self, n_latent, summary):
        super().__init__(n_latent, summary)
        self.offset = torch.rand(1)


class ContextFirst(Measurement):
    """Reads the context before the state, by a plain layer: nothing says where known batches stay."""

    def __init__(self, n_latent, summary):
        super().__init__(n_latent, summary)
        self.layer = nn.Linear(summary.n_context + n_latent, summary.n_features)

    def forward(self, z, ctx):
        return Normal(self.layer(torch.cat([ctx.design, z], 1)), 1.0, validate_args=False)


class Scrambled(Good):
    """Widens in another order than the columns have."""

    def widen(self, old, columns, prefix=""):
        moved = columns._replace(kept=columns.kept[::-1])
        return self.decoder.widen(old.decoder, moved, prefix)


class Silent(Good):
    def shifted(self, z, ctx, shift):
        return Normal(self.decoder(z, ctx.design) + shift, 1.0, validate_args=False)


class ShrinksInput(Good):
    @classmethod
    def encoder_input(cls, x, mean):
        return x[:, 1:]


def test_the_good_operator_passes():
    check_measurement(Good)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NotPerCell, r"shape \(cells,\)"),
        (NotFinite, "finite, also for a cell of zeros"),
        (IgnoresState, "gradient of log_prob must reach the state"),
        (DependsOnMiniBatch, "depends on its mini-batch"),
        (IgnoresMask, "masked feature changes"),
        (NeedsDepth, "finite, also where depth is unknown"),
        (WrongShape, "predictions must have shape"),
        (ShrinksInput, "encoder_input must keep the shape"),
        (ContextFirst, "must be able to take new batches. Linear cannot take new batches: its 'weight'"),
        (Scrambled, "new batches change what is predicted of known cells"),
        (Silent, "must say so: responds = True"),
    ],
)
def test_contract_names_what_is_broken(cls, message):
    with pytest.raises(AssertionError, match=message):
        check_measurement(cls)


def test_contract_catches_values_that_are_not_saved():
    class Forgetful(Forgets):
        def forward(self, z, ctx):
            return Normal(self.decoder(z, ctx.design) + self.offset, 1.0, validate_args=False)

    with pytest.raises(AssertionError, match="same after save and load"):
        check_measurement(Forgetful)


def test_contract_takes_options():
    class Scaled(Good):
        def __init__(self, n_latent, summary, sd):
            super().__init__(n_latent, summary)
            self.log_sd = nn.Parameter(torch.as_tensor(np.log(sd), dtype=torch.float32))

        def forward(self, z, ctx):
            return Normal(self.decoder(z, ctx.design), self.log_sd.exp(), validate_args=False)

    check_measurement(Scaled, {"sd": 2.0})
    with pytest.raises(AssertionError, match="finite"):
        check_measurement(Scaled, {"sd": float("nan")})


def test_examples_of_features_are_the_same_each_time_and_of_the_size_asked_for():
    one, again = example_summary(5, 3), example_summary(5, 3)
    np.testing.assert_array_equal(one.mean, again.mean)
    assert (one.n_features, one.n_batches, one.mean_log.shape, one.depth.shape) == (5, 3, (3, 5), (3,))
    np.testing.assert_allclose(one.depth, one.mean.sum(), rtol=1e-6)


def test_torchs_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    check_measurement(Good)
    assert torch.equal(torch.get_rng_state(), before)
