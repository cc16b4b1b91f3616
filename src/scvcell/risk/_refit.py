"""A fitted model fitted anew on each fold: the settings that it carries, as arguments of `scvcell.tl.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scvcell.model import TrainConfig

if TYPE_CHECKING:
    from scvcell.model import CSL


def options_of(name: str, model: CSL) -> dict[str, Any]:
    """Arguments of a fit like that of a model: assays, columns, weights of the loss, sizes, and what was done to cells.

    Parameters
    ----------
    name
        Name of the predictor, for messages.
    model
        Fitted model.

    Raises
    ------
    ValueError
        If it was fitted with a guidance graph, which a model does not carry.

    Notes
    -----
    Of the training settings a model carries ``n_latent`` and ``n_components`` alone; others are the defaults.
    """
    if model.edges is not None:
        raise ValueError(
            f"{name!r} was fitted with a guidance graph, which it does not carry, so it cannot be fitted anew by "
            "itself. Give a scvcell.risk.ModelPredictor(options={...}) with the arguments of its fit."
        )
    schema = model.schema
    out: dict[str, Any] = {
        "measure": {m: (each.operator, dict(each.options)) for m, each in schema.modalities.items()},
        "batch_key": schema.batch_key,
        "covariates": [*schema.categorical, *schema.continuous],
        "layers": {m: each.layer for m, each in schema.modalities.items() if each.layer is not None},
        "size_factor": {m: each.size_factor for m, each in schema.modalities.items()},
        "weights": model.weights,
        "train": TrainConfig(n_latent=model.n_latent, n_components=model.n_components),
    }
    if model.response is not None:
        out["perturbation"] = model.response.keys
        out["priors"] = [] if model.response.kernel is None else [model.response.kernel]
    return out
