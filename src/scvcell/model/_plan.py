"""What can align the assays of some data, read off the data themselves."""

from __future__ import annotations

import logging
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scvcell._containers import View
    from scvcell._types import Rows

logger = logging.getLogger("scvcell")

MIN_LINKED_SHARE = 0.1
"""Share of an assay's features with an edge below which a graph hardly aligns it."""


def alignment(data: View, train: Rows, linked: Mapping[str, int] | None) -> str:
    """How the assays of the training cells are held together.

    Parameters
    ----------
    data
        The data.
    train
        Training cells.
    linked
        Features of each assay with an edge in the guidance graph; None without one.

    Returns
    -------
    ``"one assay"``; ``"paired"`` (every cell has every assay); ``"partly paired"`` (a chain of assays measured in the
    same cells joins all); ``"unpaired, guidance graph"`` or ``"unpaired"`` (some assays share no cell with the rest).
    It is logged; the last one with a warning, because then nothing says which cells of two assays are alike.
    """
    names = list(data.modalities)
    if len(names) == 1:
        return "one assay"
    present = {m: data.present(m)[train] for m in names}
    group = {m: m for m in names}
    for a, b in combinations(names, 2):
        if (present[a] & present[b]).any():
            old, new = group[b], group[a]
            group = {m: new if g == old else g for m, g in group.items()}
    if len(set(group.values())) > 1:
        found = "unpaired" if linked is None else "unpaired, guidance graph"
    else:
        found = "paired" if all(p.all() for p in present.values()) else "partly paired"
    if found == "unpaired":
        apart = [[m for m in names if group[m] == g] for g in sorted(set(group.values()), key=names.index)]
        logger.warning(
            "The assays %s share no cell, and no prior links their features: nothing says which cells are alike. "
            "Give priors=scvcell.pp.link_features(...), or cells with both assays.",
            " and ".join("+".join(part) for part in apart),
        )
    else:
        logger.info("Alignment: %s.", found)
    if found == "unpaired, guidance graph" and linked is not None:
        for name, n in linked.items():
            features = data.modalities[name].n_vars
            if n < MIN_LINKED_SHARE * features:
                logger.warning(
                    "The guidance graph links %d of %d features of %r, and no cell pairs it: do not rely on the "
                    "alignment before scvcell.tl.alignment_report on cells of known pairing or labels.",
                    n,
                    features,
                    name,
                )
    return found
