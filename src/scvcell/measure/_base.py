"""M: measurement operators, `z -> p(x | M(z), c)`; what every modality has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from scvcell._registry import Registry
from scvcell.measure._context import Context, Scale, Summary
from scvcell.measure._decoder import Decoder, LinkedDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch.distributions import Distribution

    from scvcell._types import Mask

MEASUREMENTS: Registry[type[Measurement]] = Registry("measurement", "scvcell.measurements")
"""Every measurement operator by name, the package's own and those of other packages."""


class Measurement(nn.Module, ABC):
    r"""M_{s,m}: how one modality arises from the state.

    A subclass says what an encoder may see of the data (`encoder_input`), and what distribution the data follow given
    state and context (`forward`). The rest (likelihood, prediction, registration, tests, documentation) follows.

    Parameters
    ----------
    n_latent
        Dimension of z.
    summary
        What is known of the features, see `Summary`.

    Notes
    -----
    .. math:: p(x_{s,m} \mid M_{s,m}(z), c)
    """

    scale: ClassVar[Scale] = Scale.CELL
    equation: ClassVar[str] = "p(x | M(z), c)"
    reference: ClassVar[str] = ""
    count_data: ClassVar[bool] = True
    """Whether values must be whole numbers from 0 on."""
    sparse: ClassVar[bool] = False
    """Whether `log_prob` takes raw values as a sparse (COO) tensor, too, and ``rows``: the row of each state in it.
    A subclass whose own `log_prob` knows no ``rows`` is given dense values, one row per state."""
    encoded: ClassVar[bool] = True
    """Whether encoders see it; False for what is only predicted, such as an outcome."""
    sized: ClassVar[bool] = False
    """Whether users may give the depth of cells, of which the features are a part (`Summary.rest`); see `Shares`."""
    linkable: ClassVar[bool] = False
    """Whether a guidance graph may join its features; it then needs a `Decoder` called ``decoder``, see `link`."""
    per_batch: ClassVar[tuple[str, ...]] = ("typical_depth", "seen", "panel")
    """Names of its own parameters and buffers that have one row per batch, so that new batches add rows, see
    `scvcell.measure.widen`. A subclass adds to these: ``(*Measurement.per_batch, "noise")``."""
    responds: ClassVar[bool] = False
    """Whether `shifted` is defined; only then are effects of actions predicted on it."""

    def __init__(self, n_latent: int, summary: Summary) -> None:
        super().__init__()
        self.n_latent = n_latent
        self.n_features = summary.n_features
        self.register_buffer("typical_depth", torch.as_tensor(summary.depth, dtype=torch.float32))
        self.register_buffer("seen", torch.as_tensor(summary.cells > 0))
        panel = torch.ones(summary.n_batches, summary.n_features, dtype=torch.bool)
        self.register_buffer("panel", panel if summary.panel is None else torch.as_tensor(summary.panel))
        self.size_head: Decoder | None = None
        self._asked: dict[str, tuple[Tensor, int, bool]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = vars(cls).get("log_prob")
        if own is not None and "rows" not in signature(own).parameters:
            cls.sparse = False

    @classmethod
    def check(cls, features: Sequence[str], **options: Any) -> None:
        """Refuse features or options that the operator cannot take, before any work starts.

        Parameters
        ----------
        features
            Names of the features.
        options
            Options of the operator.

        Raises
        ------
        ValueError
            Saying what is needed.
        """

    @property
    def calibrated(self) -> bool:
        """Whether predictions can be held against measured values, as intervals need."""
        return True

    @classmethod
    def encoder_input(cls, x: Any, mean: NDArray[np.float32]) -> Any:
        """What the encoder of this modality sees of raw values.

        Parameters
        ----------
        x
            Raw values, dense or csr, shape ``(cells, features)``.
        mean
            Mean raw value of each feature in training, shape ``(features,)``.

        Returns
        -------
        Dense or csr, same shape.
        """
        return x

    @classmethod
    def encoder_sized(cls, x: Any, mean: NDArray[np.float32], depth: NDArray[np.float32]) -> Any:
        """As `encoder_input`, where the depth of cells is given; only asked of operators that are `sized`.

        Parameters
        ----------
        x, mean
            As in `encoder_input`.
        depth
            Counts of each cell over all features, ``(cells,)``.
        """
        return cls.encoder_input(x, mean)

    @classmethod
    def encoder_part(cls, x: Any, mean: NDArray[np.float32], observed: Mask, every: Mask) -> Any:
        """What the encoder sees of cells in which some features were not measured.

        New data may lack features that the cells of the fit had. An input that depends on the depth then has to be put
        on the scale that it would have if all had been measured.

        Parameters
        ----------
        x, mean
            As in `encoder_input`; features that were not measured are zero in `x`.
        observed
            Which features were measured, ``(features,)``.
        every
            Which were measured in the fit, ``(features,)``; the `observed` ones are among them.

        Returns
        -------
        As `encoder_input`; what stands at features that were not measured is ignored.
        """
        return cls.encoder_input(x, mean)

    @classmethod
    def trivial(cls, mean: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Direction of the encoder input that only depth moves, ``(features,)``; it is taken out. None if none is."""
        return None

    @classmethod
    def size(cls, x: Any) -> Any:
        """Depth of each cell, which the operator takes as given: the total by default, shape ``(cells,)``."""
        return x.sum(1)

    def link(self) -> None:
        """Replace the decoder by one that is linear in the state through the feature vectors of a prior."""
        self.decoder: nn.Module = LinkedDecoder(self.decoder)

    def known(self, ctx: Context) -> Context:
        """Context of cells whose batch never had this modality: the mean of the batches that had it."""
        n = len(self.seen)
        if self._all("seen") or bool(self.seen[ctx.batch].all()) or not bool(self.seen.any()):
            return ctx
        unseen = ~self.seen[ctx.batch]
        design = ctx.design.clone()
        design[unseen, :n] = self.seen.to(design.dtype) / self.seen.sum()
        batch = ctx.batch.clone()
        batch[unseen] = int(self.seen.nonzero()[0])
        return Context(design, batch, ctx.depth)

    def on_panel(self, ctx: Context) -> Tensor | None:
        """Features that the batch of each cell measured, ``(cells, features)``; None where every batch measured all."""
        return None if self._all("panel") else self.panel[ctx.batch]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """As torch's; what was asked of a buffer is still known where it has moved."""
        known = {name: self._all(name) for name in self._asked}
        moved = super()._apply(fn, recurse)
        for name, found in known.items():
            flags = getattr(self, name)
            self._asked[name] = (flags, flags._version, found)
        return moved

    def _all(self, name: str) -> bool:
        """Whether all of a buffer is true. A device is asked once, and again where the buffer has changed."""
        flags = getattr(self, name)
        if flags.is_inference():  # has no version that would tell of changes
            return bool(flags.all())
        asked = self._asked.get(name)
        if asked is None or asked[0] is not flags or asked[1] != flags._version:
            asked = self._asked[name] = (flags, flags._version, bool(flags.all()))
        return asked[2]

    def depth(self, ctx: Context, z: Float[Tensor, "cells latent"] | None = None) -> Float[Tensor, " cells"]:
        """Measured depth; where it was not measured, that expected in state `z`, or else the median of the batch."""
        if ctx.depth is not None:
            return ctx.depth
        typical = self.typical_depth[ctx.batch]
        if z is None or self.size_head is None:
            return typical
        return torch.expm1(torch.log1p(typical) + self.offset(z, ctx)).clamp_min(0)

    def offset(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, " cells"]:
        """Log depth relative to the batch: the observed one, or its expectation given z; 0 without a `size_head`."""
        if self.size_head is None:
            return z.new_zeros(len(z))
        if ctx.depth is None:
            return self.size_head(z.detach(), ctx.design)[:, 0]
        return torch.log1p(ctx.depth) - torch.log1p(self.typical_depth[ctx.batch])

    def depth_error(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, " cells"]:
        """What the `size_head` learns from, half the squared error of log depth; no gradient reaches z."""
        if self.size_head is None or ctx.depth is None:
            return z.new_zeros(len(z))
        return 0.5 * (self.offset(z, ctx) - self.offset(z, ctx.measured(None))).pow(2)

    @abstractmethod
    def forward(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of the measurement given state and context, batch shape ``(cells, features)``."""

    def log_prob(
        self,
        x: Float[Tensor, "cells features"],
        z: Float[Tensor, "cells latent"],
        ctx: Context,
        observed: Tensor | None = None,
    ) -> Float[Tensor, " cells"]:
        """Log-likelihood of each cell, summed over its observed features.

        Parameters
        ----------
        x
            Raw values.
        z
            States.
        ctx
            Context.
        observed
            Mask of measured features, broadcastable to `x`; None where all were.
        """
        value = self(z, ctx).log_prob(x)
        if observed is not None:
            value = torch.where(observed, value, torch.zeros_like(value))
        return value.sum(-1)

    def predict(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Float[Tensor, "cells features"]:
        """Point prediction on the scale of the raw values; for counts, log1p of it is the best log-scale prediction."""
        return self(z, ctx).mean

    def predictive(self, z: Float[Tensor, "cells latent"], ctx: Context) -> Distribution:
        """Distribution of new raw values, for intervals and samples; that of `forward` by default."""
        return self(z, ctx)

    def shifted(self, z: Float[Tensor, "cells latent"], ctx: Context, shift: Tensor) -> Distribution:
        """As `predictive`, with the expected value of each feature moved; for counts, its logarithm is moved.

        Parameters
        ----------
        z
            States.
        ctx
            Context.
        shift
            By how much, broadcastable to ``(cells, features)``. Shares still sum to 1.

        Raises
        ------
        NotImplementedError
            If the operator does not take effects; actions are then not predicted on it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how an effect moves its values.")

    def regulariser(self) -> Float[Tensor, ""]:
        """Negative log prior of the operator's own parameters, added once to the loss of the whole data."""
        return self.typical_depth.new_zeros(())


def expected_part(mean: NDArray[np.float32], observed: Mask, every: Mask) -> float:
    """Expected share of `observed` features in the depth of `every` feature, by their means; 1 where nothing counts."""
    total = float(mean[every].sum())
    return max(float(mean[observed].sum()) / total, 1e-3) if total > 0 else 1.0


def log1p(x: Any) -> Any:
    """``log(1 + x)``, dense or sparse."""
    import scipy.sparse as sp

    return x.log1p() if sp.issparse(x) else np.log1p(x)
