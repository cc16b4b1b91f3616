"""Learn what actions do, on the states of a fitted CSL: the flow, what it leaves, and how far both are off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scvcell.measure import Measurement
from scvcell.perturb import Action, read_design
from scvcell.response._anchor import Anchor
from scvcell.response._bulk import FEWEST, Bulk
from scvcell.response._contrast import conditions
from scvcell.response._crossfit import crossfit
from scvcell.response._effects import Effects
from scvcell.response._flow_fit import make_flow, train_flow
from scvcell.response._intervals import FEWEST_ROWS
from scvcell.response._response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvcell.model import CSL
    from scvcell.perturb import PerturbationKeys
    from scvcell.prior import TargetKernel


logger = logging.getLogger("scvcell")


def fit(
    model: CSL, keys: PerturbationKeys, *, kernel: TargetKernel | None = None, seed: int = 0, calibrate: bool = True
) -> Response:
    """Learn what actions do, from the cells on which the model was trained.

    Parameters
    ----------
    model
        Trained model with its data.
    keys
        Columns that say what was done.
    kernel
        Likeness of targets.
    seed
        Seed.
    calibrate
        Whether intervals are calibrated, by fitting the flow anew without each fold of conditions.
    """
    data = model.view()
    design = read_design(keys, data.column)
    allowed = data.obs_names.isin([*model.split_["train"], *model.split_["validation"]])
    latent = model.posterior(data).mean
    units = conditions(design, allowed)
    few = [str(u.action) for u in units if not u.enough]
    if few:
        logger.warning(
            "%d of %d conditions have fewer than %d treated or control cells, e.g. %s; the flow does not learn them.",
            len(few),
            len(units),
            FEWEST,
            few[0],
        )
    flow = make_flow(units, model.n_latent, seed)
    train_flow(flow, units, latent, seed)
    response = Response(keys, flow, tuple(dict.fromkeys(u.action for u in units)), dict(design.units), kernel=kernel)
    uncalibrated: list[str] = []
    for name in model.assays:
        if type(model._trained_module().operators[name]).shifted is not Measurement.shifted:
            bulk = Bulk(model, data, name)
            here = [u for u in units if bulk.count(u.treated) and bulk.count(u.controls)]
            if not here:
                continue
            effects = Effects(bulk, here, latent)
            response.spread[name] = effects.spread
            response.cells[name] = np.array([bulk.count(u.treated) for u in here], float)
            every = np.arange(len(here))
            y = effects.value - effects.by_flow(flow, every)
            anchor = response.anchors[name] = Anchor.fit(effects.describe(flow, every), y, effects.noise)
            if calibrate:
                response.calibration[name], anchor.stack = crossfit(effects, anchor, kernel, seed, shown=model.progress)
                if len(response.calibration[name]) < FEWEST_ROWS:
                    uncalibrated.append(name)
    if uncalibrated:
        _tell_uncalibrated(uncalibrated, response.actions)
    return response


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
