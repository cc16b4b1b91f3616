"""Models of scvi-tools as predictors: states by their latent, assays by their normalised values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from scvcell._containers import view
from scvcell._random import seeded
from scvcell.measure import MEASUREMENTS
from scvcell.risk._predictor import Place, States, Translate, Values
from scvcell.score import as_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from scvcell._containers import Container
    from scvcell._types import Mask, Rows
    from scvcell.risk._predictor import Prediction, Question
    from scvcell.risk._split import Split

MEASURED = "measured"
"""Column of obs with the assays that a cell has, joined by ``+``."""
LATENTS = {"counts": "expression", "atac": "accessibility", "protein": "protein"}
"""What MULTIVI calls the latent of each kind of assay."""

DRAWS = 10
"""Draws of the state over which values are averaged."""


@dataclass
class ScviPredictor:
    """A model of scvi-tools: SCVI, TOTALVI, MULTIVI, or another one with their methods.

    `Place` is answered by ``get_latent_representation``; `Translate` by ``get_normalized_expression`` (of proteins with
    background, as in the batches that measured them; of genes as shares times the mean depth of measured cells) and
    ``get_normalized_accessibility``. Without intervals, which these methods do not give. In scvi-tools 1.5 values of
    proteins leave out a learned efficiency of each batch, so that correlations say more than errors.

    Parameters
    ----------
    model
        A function of data and seed that returns a fitted model; or a fitted model, which must not have seen test cells.
        The function is given a MuData in which every modality has all cells: zeros where an assay is missing, as these
        models take it, and in ``obs["measured"]`` of each modality which assays a cell has (``"rna+adt"``).
    name
        Name in tables.

    Examples
    --------
    >>> def train(mdata, seed):
    ...     scvi.settings.seed = seed
    ...     mdata = mdata[mdata["rna"].obs["measured"] != "adt"].copy()  # TOTALVI takes cells with genes only
    ...     layers = {"rna_layer": "rna", "protein_layer": "adt", "batch_key": "rna"}
    ...     scvi.model.TOTALVI.setup_mudata(mdata, batch_key="measured", modalities=layers)
    ...     model = scvi.model.TOTALVI(mdata)
    ...     model.train()
    ...     return model
    >>> predictor = scvcell.risk.ScviPredictor(train, "TOTALVI")
    """

    model: Any | Callable[[MuData, int], Any]
    name: str = "scvi-tools"
    _asked: Any = field(default=None, init=False, repr=False)
    _depth: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _features: dict[str, pd.Index] = field(default_factory=dict, init=False, repr=False)
    _whole: Mask = field(init=False, repr=False)
    _seed: int = field(default=0, init=False, repr=False)

    def fit(self, data: Container, split: Split, seed: int) -> None:
        """Fit a model to what may be seen; or check that the model that was given has not seen test cells.

        Raises
        ------
        TypeError
            If `model` is neither a model nor a function that returns one.
        ValueError
            If the model that was given has seen test cells.
        """
        seen, self._seed = view(data), seed
        self._features = {m: table.var_names for m, table in seen.modalities.items()}
        self._depth = {m: max(float(table.X.sum()) / table.n_obs, 1.0) for m, table in seen.modalities.items()}
        given = hasattr(self.model, "get_latent_representation")
        self._asked = self.model if given or not callable(self.model) else self.model(padded(data), seed)
        if not hasattr(self._asked, "get_latent_representation"):
            raise TypeError(
                f"model must be a fitted model of scvi-tools, or a function of data and seed that returns one, not "
                f"{type(self._asked).__name__}."
            )
        if given and len(shown := split.test.intersection(self._asked.adata.obs_names)):
            raise ValueError(
                f"The model has seen {len(shown)} test cells, e.g. {shown[0]!r}. Give a function that fits one, "
                "so that it gets what may be seen."
            )
        counts = self._asked.adata_manager.get_from_registry("X")
        self._whole = np.asarray(counts.sum(1)).ravel() > 0

    def predict(self, question: Question) -> Prediction | None:
        """States of a `Place`, values of a `Translate` that the model can make.

        Cells that it has not seen are left out, as are cells without genes for all but MULTIVI.
        """
        if isinstance(question, Place):
            return States({m: self._states(cells, m) for m, cells in question.cells.items()})
        if not isinstance(question, Translate) or question.to not in self._features:
            return None
        cells, rows = self._rows(question.cells)
        values = self._values(rows, question.to)
        if values is None:
            return None
        return Values(pd.DataFrame(np.asarray(values, float), cells, self._features[question.to]))

    @property
    def _joint(self) -> bool:
        """Whether states of one assay alone can be asked for, as of MULTIVI."""
        return hasattr(self._asked, "get_normalized_accessibility")

    def _rows(self, cells: pd.Index) -> tuple[pd.Index, Rows]:
        """Those of `cells` that the model can tell of, and their positions in its data."""
        rows = self._asked.adata.obs_names.get_indexer(cells)
        known = rows >= 0
        if not self._joint:
            known &= self._whole[rows]
        return cells[known], rows[known]

    def _states(self, cells: pd.Index, modality: str) -> pd.DataFrame:
        cells, rows = self._rows(cells)
        latent = LATENTS.get(MEASUREMENTS.infer(modality) or "")
        options = {"modality": latent} if self._joint and latent else {}
        if not len(rows):
            return pd.DataFrame(np.empty((0, self._asked.module.n_latent)))
        return pd.DataFrame(self._asked.get_latent_representation(indices=rows, **options), cells)

    def _values(self, rows: Rows, to: str) -> Any:
        """Values of an assay for cells at `rows`; None if the model has no method that tells them."""
        kind = MEASUREMENTS.infer(to)
        if not len(rows):
            return np.empty((0, len(self._features[to])))
        if kind == "atac" and self._joint:
            return as_array(self._asked.get_normalized_accessibility(indices=rows, return_numpy=True))
        options: dict[str, Any] = {"indices": rows, "return_numpy": True}
        if not self._joint:  # MULTIVI takes the mean of the state
            options |= {"n_samples": DRAWS, "return_mean": True}
        if kind == "counts":
            found = self._draw(options)
            return (found[0] if isinstance(found, tuple) else found) * self._depth[to]
        if kind != "protein" or self._joint or not hasattr(self._asked, "get_protein_foreground_probability"):
            return None  # MULTIVI knows proteins, but has no method that tells their values
        return self._draw(options | {"include_protein_background": True, "transform_batch": self._batches()})[1]

    def _draw(self, options: dict[str, Any]) -> Any:
        """Mean of draws that are the same each time."""
        with seeded(self._seed):
            return self._asked.get_normalized_expression(**options)

    def _batches(self) -> list[str] | None:
        """Batches in which all proteins were measured; None if all did."""
        manager = self._asked.adata_manager
        mask = manager.get_state_registry("proteins").get("protein_batch_mask")
        if mask is None:
            return None
        names = manager.get_state_registry("batch").categorical_mapping
        return [str(name) for number, name in enumerate(names) if np.all(mask[str(number)])]


def padded(data: Container) -> MuData:
    """Data in which every modality has all cells, with zeros where it was not measured.

    Proteins are dense, other counts sparse. Obs has all columns of the data, and ``measured``.
    """
    seen = view(data)
    obs = seen.obs().set_index(seen.obs_names)
    has = {m: seen.present(m) for m in seen.modalities}
    obs[MEASURED] = ["+".join(m for m in has if has[m][i]) for i in range(seen.n_obs)]
    tables = {}
    for m, table in seen.modalities.items():
        at = np.flatnonzero(has[m])
        shape = (seen.n_obs, table.n_obs)
        place = sp.csr_matrix((np.ones(len(at), np.float32), (at, seen.rows[m][at])), shape=shape)
        x = sp.csr_matrix(place @ sp.csr_matrix(table.X), dtype=np.float32)
        dense = MEASUREMENTS.infer(m) == "protein"
        tables[m] = AnnData(x.toarray() if dense else x, obs.copy(), pd.DataFrame(index=table.var_names))
    with warnings.catch_warnings():  # a gene and its protein may share a name
        warnings.filterwarnings("ignore", message="var_names are not unique")
        return MuData(tables)
