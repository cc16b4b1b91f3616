"""Learn what actions do, on the states of a fitted CSL: the flow, what it leaves, and how far both are off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scvcell.model import Part
from scvcell.perturb import Action, read_design
from scvcell.response._anchor import Anchor
from scvcell.response._bulk import FEWEST_CELLS, Bulk
from scvcell.response._contrast import contrasts
from scvcell.response._crossfit import crossfit
from scvcell.response._delta import Delta
from scvcell.response._effects import Effects
from scvcell.response._flow_fit import make_flow, train_flow
from scvcell.response._intervals import MIN_CALIBRATION_ROWS
from scvcell.response._store import dump, restore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from numpy.typing import NDArray

    from scvcell._containers import View
    from scvcell.model import Fitted
    from scvcell.perturb import PerturbationKeys
    from scvcell.prior import TargetKernel
    from scvcell.response._contrast import Contrast


logger = logging.getLogger("scvcell")


class Response(Delta, Part):
    """What actions do to the cells of a fitted model, see `Delta`."""

    what = "what actions do"
    relearn = 'model.learn("response", keys)'
    absent = (
        "This model has learned no perturbation. Fit with perturbation=, for example "
        "scvcell.tl.fit(data, perturbation=PerturbationKeys('drug', control='DMSO'))."
    )

    @classmethod
    def learn(  # type: ignore[override]
        cls,
        model: Fitted,
        keys: PerturbationKeys,
        *,
        kernel: TargetKernel | None = None,
        seed: int = 0,
        calibrate: bool = True,
        data: View | None = None,
    ) -> Self:
        """Learn what actions do, from the cells on which the model was trained.

        Parameters
        ----------
        model
            Trained model with its data.
        keys
            Columns that say what was done.
        kernel
            Likeness of targets, for those that were never perturbed.
        seed
            Seed.
        calibrate
            Whether intervals are calibrated, by fitting the flow anew without each fold of conditions.
        data
            The model's view of its data, where there is one already.
        """
        seen = model.view() if data is None else data
        design = read_design(keys, seen.column)
        allowed = seen.among(model.split_["train"]) | seen.among(model.split_["validation"])
        latent = model.posterior(seen).mean
        units = contrasts(design, allowed)
        _tell_few(units)
        flow = make_flow(units, model.n_latent, seed)
        train_flow(flow, units, latent.to(model.network.device), seed)
        out = cls(keys, flow, tuple(dict.fromkeys(u.action for u in units)), dict(design.units), kernel=kernel)
        for name in model.assays:
            if model.operator(name).responds:
                bulk = Bulk(model.readout(seen, name))
                here = [u for u in units if bulk.count(u.treated) and bulk.count(u.controls)]
                if here:
                    out._learn_assay(name, Effects(bulk, here, latent), seed, calibrate=calibrate, shown=model.progress)
        uncalibrated = [name for name, rows in out.calibration.items() if len(rows) < MIN_CALIBRATION_ROWS]
        if uncalibrated:
            _tell_uncalibrated(uncalibrated, out.actions)
        return out

    def _learn_assay(self, name: str, effects: Effects, seed: int, *, calibrate: bool, shown: bool) -> None:
        """What the flow leaves of the effects on one assay, and how far off both are."""
        every = np.arange(len(effects.contrasts))
        self.spread[name] = effects.spread
        self.cells[name] = np.array([effects.bulk.count(u.treated) for u in effects.contrasts], float)
        y = effects.value - effects.by_flow(self.flow, every)
        anchor = self.anchors[name] = Anchor.fit(effects.describe(self.flow, every), y, effects.noise)
        if calibrate:
            self.calibration[name], anchor.stack = crossfit(effects, anchor, self.kernel, seed, shown=shown)

    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values and arrays."""
        return dump(self)

    @classmethod
    def restore(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]], n_latent: int) -> Self:
        """Inverse of `dump`."""
        return restore(cls, plain, arrays, n_latent)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of obs that say what was done."""
        return self.keys.columns

    @property
    def references(self) -> tuple[str, ...]:
        """Sources to cite."""
        return (
            "Székely and Rizzo, Energy statistics: a class of statistics based on distances, J Stat Plan Inference "
            "2013",
            "Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006",
        )


def _tell_few(units: Sequence[Contrast]) -> None:
    few = [str(u.action) for u in units if not u.enough]
    if few:
        logger.warning(
            "%d of %d conditions have fewer than %d treated or control cells, e.g. %s; the flow does not learn them.",
            len(few),
            len(units),
            FEWEST_CELLS,
            few[0],
        )


def _tell_uncalibrated(modalities: list[str], actions: Sequence[Action]) -> None:
    names = sorted(map(str, actions))
    logger.warning(
        "Too few conditions could be left out to calibrate effects on %s: hardly a target is in several. Intervals "
        "of the %d measured actions (%s) hold sampling error only; those not measured have none. More contexts "
        "(perturbation key context=), doses or combinations of the same targets would calibrate both.",
        ", ".join(map(repr, modalities)),
        len(names),
        ", ".join(names[:5]) + (", ..." if len(names) > 5 else ""),
    )
