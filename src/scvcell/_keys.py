"""Every string that scvcell writes into a container or a saved model, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LATENT: Final = "X_csl"
"""``.obsm`` key of the cell-state latent."""
UMAP: Final = "X_umap"
"""``.obsm`` key of the UMAP that plots draw, scanpy's own."""
UMAP_UNS: Final = "csl_umap"
"""``.uns`` key of the UMAPs that plots have made: digests of the latent and of the result."""
UNCERTAINTY: Final = "csl_uncertainty"
"""``.obs`` key of the posterior standard deviation of the latent (mean over dimensions)."""
UNS: Final = "csl"
"""``.uns`` key of the parameters of the fit."""
TOTAL_COUNTS: Final = "total_counts"
"""``.obs`` key of the counts of a cell over all genes, as scanpy writes it."""
MEASURE: Final = "csl_measure"
"""``.uns`` key of a modality that `pp` made: the operator that measures it, and its options."""
TRANSLATE: Final = "csl_translate"
"""``.uns`` key of a translated table."""
BITS: Final = "csl_bits_{modality}"
"""``.obs`` keys of the information of each modality."""
LOWER: Final = "lower"
UPPER: Final = "upper"
MEAN: Final = "mean"
TRUSTED: Final = "trusted"
SPLIT: Final = "split"
"""``.obs`` key of translated cells: whether training saw their measurement of the predicted assay."""
ACTION: Final = "action"
SOURCE_CELL: Final = "source_cell"
SUPPORT: Final = "support"
"""``.obs`` keys of counterfactual cells: what was done, to which cell, and how much like training that is."""
HELD: Final = "held"
HELD_STRONGEST: Final = "held_strongest"
"""Columns of effects: how often intervals held what was left out, of all features and of the strongest."""
N_CELLS: Final = "n_cells"
"""``.obs`` key of units: how many cells they are of, by weight."""
ABUNDANCE: Final = "abundance"
"""``.layers`` key of lifted spots: cells of each kind."""
RATE: Final = "rate"
"""``.layers`` key of imputed cells: what they would show at one depth."""
SKILL: Final = "skill"
"""``.var`` key of imputed features: correlation with cells that were left out."""
IMPUTE: Final = "csl_impute"
"""``.uns`` key of imputed cells."""
CYCLE: Final = "csl_cycle"
"""``.uns`` key of lifted spots: whether half of the features say the other half."""
LIFT: Final = "csl_lift"
"""``.uns`` key of lifted spots: dispersion of features, smoothing, how far off left-out mixtures were."""
RATES: Final = "rates"
"""``.varm`` key of lifted spots: mean counts of a cell of each kind."""
LATENT_BY_TYPE: Final = "X_csl_by_type"
"""``.obsm`` key of lifted spots: expected state of each kind within each spot."""
PROJECT: Final = "csl_project"
"""``.uns`` key of projected cells: the kernel that was fitted, and what it is worth."""
PLATFORM: Final = "platform_factor"
"""``.var`` key of projected cells: how much better the spots' platform sees each feature, geometric mean 1."""
"""``.uns`` key of lifted spots: the column of the kinds."""
SPATIAL: Final = "spatial"
"""``.obsm`` key of coordinates, squidpy's own."""
POSITION: Final = "position"
"""``.obsm`` key of mapped cells: the probability of each place, ``(cells, places)``."""
PLACES: Final = "csl_places"
"""``.uns`` key of mapped cells: names, coordinates and sections of these places."""
MAP: Final = "csl_map"
"""``.uns`` key of mapped cells: what was learned of each section."""
RADIUS: Final = "radius"
AREA: Final = "area"
SPOT: Final = "spot"
"""``.obs`` keys of mapped cells: how near to the point they are, share of the section in question, nearest place."""
NICHE: Final = "X_niche"
"""``.obsm`` key of the state of each unit's niche."""
NICHE_UNS: Final = "csl_niche"
"""``.uns`` key of how niches were made, which kinds are neighbours, and how well states tell niches."""
ENDPOINT: Final = "csl_endpoint"
"""``.uns`` key of what a predicted endpoint is worth, by the column that it was written to."""
EXPECTED: Final = "expected"
"""``.layers`` key of expected values after an action."""
RESPONSE: Final = "csl_response"
"""``.obs`` key of how strongly a treated cell responded."""
MATCH: Final = "csl_match"
"""``.uns`` key of a matching: parameters, balance, and the average effects."""
BASAL: Final = "X_csl_basal"
"""``.obsm`` key of the states that treated cells had before the action."""
COUNTERFACTUAL: Final = "counterfactual"
MATCHED: Final = "matched"
"""``.layers`` keys of treated cells: what they would be untreated, and the untreated cells that are like them."""
MATCHED_CELL: Final = "matched_cell"
EFFECTIVE: Final = "effective_matches"
OVERLAP: Final = "overlap"
EFFECT_SIZE: Final = "effect_size"
"""``.obs`` keys of treated cells: the nearest match, how many there are, whether any is near, and the effect's size."""
TIME: Final = "forecast_time"
"""``.obs`` key of forecast cells: how much later."""
VELOCITY: Final = "velocity"
"""``.layers`` key of the change of expected counts per unit of time."""
VELOCITY_LATENT: Final = "velocity_csl"
"""``.obsm`` key of the change of the state per unit of time."""
VELOCITY_CONFIDENCE: Final = "velocity_confidence"
"""``.obs`` key of how far it can be relied on."""
VELOCITY_TRUSTED: Final = "velocity_trusted"
"""``.obs`` key of whether its direction is to be followed."""
VELOCITY_UNS: Final = "csl_velocity"
"""``.uns`` key of the unit of time."""
RELATIVE_WIDTH: Final = "relative_width"
OBSERVED_MASK: Final = "observed"
"""``.varm`` frame or ``.layers`` array of a modality: which features were on the panel."""


def response_keys(key_added: str) -> dict[str, str]:
    """Names of the columns that the response per cell has: its mean, its deviation, and whether there is one."""
    return {"mean": key_added, "sd": f"{key_added}_sd", "responded": f"{key_added}_probability"}


def label_keys(key_added: str) -> dict[str, str]:
    """Names of the columns that label transfer writes beside `key_added`."""
    return {"label": key_added, "probability": f"{key_added}_probability", "trusted": f"{key_added}_trusted"}


def niche_keys(key_added: str) -> dict[str, str]:
    """Names of what goes with the niche states in ``.obsm[key_added]``: the niche, its trust, what surrounds a unit."""
    name = key_added.removeprefix("X_")
    return {"label": name, "trusted": f"{name}_trusted", "composition": f"{key_added}_composition"}


def uncertainty_key(key_added: str) -> str:
    """Name of the column of the uncertainty of the state that is written to ``.obsm[key_added]``."""
    return UNCERTAINTY if key_added == LATENT else f"{key_added}_uncertainty"


def check_key_added(
    source: Any, key_added: Any, columns: Iterable[str], *, default: str = "", obsm: bool = False
) -> None:
    """Refuse a ``key_added`` under which the data hold something that scvcell did not write.

    Parameters
    ----------
    source
        Container that is written to.
    key_added
        What the user gave.
    columns
        Obs columns that are written; where only some of what is written is there, it is not ours.
    default
        A key that is ours whatever is there.
    obsm
        Whether ``obsm[key_added]`` is written, too.

    Raises
    ------
    TypeError
        If it is no text.
    ValueError
        If it cannot be a key of a file, or would write over what is the user's.
    """
    if not isinstance(key_added, str):
        raise TypeError(f"key_added must be text, not {key_added!r}.")
    if not key_added or "/" in key_added:
        raise ValueError(f"key_added must be a name without '/', which files cannot hold, not {key_added!r}.")
    there = {f"obs[{name!r}]": name in source.obs for name in columns}
    if obsm:
        there[f"obsm[{key_added!r}]"] = key_added in source.obsm
    taken = [name for name, is_there in there.items() if is_there]
    if key_added != default and 0 < len(taken) < len(there):
        raise ValueError(
            f"key_added={key_added!r} would write over {taken[0]}, which the data have and scvcell did not write. "
            "Give another key, or delete it first."
        )
