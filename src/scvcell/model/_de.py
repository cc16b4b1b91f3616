"""Differential expression of every modality through scvi-tools' core."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scvcell._checks import is_number, share
from scvcell._compat import de_core, shim_manager
from scvcell._labels import group, label, several, tell_missing
from scvcell._random import seeded
from scvcell._registry import near_miss
from scvcell.measure import Context

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scvcell._containers import Container
    from scvcell._types import Rows
    from scvcell.model._fitted import Fitted
    from scvcell.model._readout import Readout
    from scvcell.state import Posterior


PSEUDOCOUNT = 0.1
"""Added to expected values (per 10,000) before the log fold change, so that silent features do not differ."""


def differential_expression(
    model: Fitted,
    data: Container | None = None,
    groupby: str | None = None,
    group1: Any = None,
    group2: Any = None,
    *,
    modality: str | None = None,
    delta: float = 0.25,
    fdr: float = 0.05,
) -> pd.DataFrame:
    r"""Features of a modality that differ between groups of cells.

    .. math:: P(|\mathrm{LFC}_g| > \delta), \qquad \mathrm{LFC} = \log_2 \rho(z_1) - \log_2 \rho(z_2), \quad z_i \sim q

    Cells need not have the modality: it is decoded from their state. The tested quantity is the model's expected value
    at equal depth and in the average context, so that batches do not differ (the frequency for counts, the
    back-transformed mean for proteins).

    Parameters
    ----------
    model
        Trained model.
    data
        Container; the fitted data by default.
    groupby
        Column of the groups.
    group1, group2
        Groups to compare, numbers or text as the column holds them; by default each one against the rest. Cells whose
        group is missing are left out.
    modality
        Modality to test; the only one by default.
    delta
        Log2 fold change that matters; the difference of the raw values where they are not counts.
    fdr
        Expected false discovery rate of the ``is_de_fdr`` column.

    Returns
    -------
    scvi-tools' table: one row per feature and comparison, with ``proba_de``, ``lfc_mean``, ``bayes_factor``, ...

    References
    ----------
    Boyeau et al., An empirical Bayes method for differential expression analysis of single cells with deep generative
    models, PNAS 2023.
    """
    modality = model.only_modality(modality)
    if groupby is None:
        raise ValueError("Give groupby=, the obs column whose groups are compared.")
    share("fdr", fdr, 0.05)
    if not is_number(delta) or not 0 <= float(delta) < np.inf:
        raise ValueError(f"delta must be a log2 fold change >= 0, e.g. 0.25, not {delta!r}.")
    seen = model.view(data)
    found = group([seen.column(groupby)])
    tell_missing(found.code < 0, [groupby])
    known = [key for (key,) in found.keys]
    if group1 is not None:
        group1 = several(group1)
    if group2 is not None:
        group2 = label(group2)
    for given in [*(group1 or ()), *([] if group2 is None else [group2])]:
        if given not in known:
            raise ValueError(f"obs[{groupby!r}] has no group {given!r}.{near_miss(given, known)} It has {known}.")
    cells = np.flatnonzero(found.code >= 0)
    seen = seen.subset(cells)
    groups = pd.Categorical([known[code] for code in found.code[cells]], known)
    shell = AnnData(obs=pd.DataFrame({groupby: groups}, index=pd.RangeIndex(len(cells)).astype(str)))
    posterior = model.posterior(seen)
    readout = model.readout(seen, modality)
    design = readout.ctx.design.numpy().mean(0)
    readout = replace(readout, ctx=replace(readout.ctx, design=torch.from_numpy(design).expand(len(cells), -1)))
    features = model.schema.modalities[modality].features
    with seeded(0):  # once: the draws of both groups are independent
        table = de_core(
            shim_manager(shell),
            partial(_expected, readout, posterior),
            None,
            groupby,
            group1,
            group2,
            None,
            None,
            False,
            None,
            features,
            "change",
            None,
            None,
            delta,
            False,
            fdr,
            True,
            pseudocounts=PSEUDOCOUNT,
            **({} if model.operator(modality).count_data else {"change_fn": _difference}),
        )
    named = dict(zip(known, found.names, strict=True))
    for column in ("group1", *(() if group2 is None else ("group2",))):
        table[column] = table[column].map(named)
    return table


def _difference(a: Any, b: Any, pseudocounts: float) -> Any:
    """scvi-tools' signature of a change; there is nothing to add to values that are not counts."""
    return a - b


@torch.inference_mode()
def _expected(
    readout: Readout,
    posterior: Posterior,
    adata: Any,
    indices: Rows | None = None,
    n_samples: int = 1,
    n_samples_overall: int | None = None,
    **_: Any,
) -> NDArray[np.float32]:
    """Draws of the expected value of a modality at depth 10,000, shape ``(samples, features)``."""
    index = np.arange(len(readout.rows)) if indices is None else np.asarray(indices)
    if index.dtype == bool:
        index = np.flatnonzero(index)
    total = n_samples_overall or n_samples * len(index)
    chosen = torch.from_numpy(index[torch.randint(len(index), (total,)).numpy()])
    parts = []
    for cells in chosen.split(1024):
        z = posterior.at(cells).sample().to(readout.device)
        deep = torch.full((len(cells),), 1e4, device=readout.device)
        ctx = Context(readout.ctx.design[cells].to(readout.device), readout.ctx.batch[cells].to(readout.device), deep)
        parts.append(readout.operator.predict(z, ctx).cpu().numpy())
    return np.concatenate(parts)
