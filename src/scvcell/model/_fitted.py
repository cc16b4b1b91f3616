"""A fitted state: what parts, verbs and readouts ask of a model. It knows none of the parts by name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scvcell._calm import calm, first
from scvcell._checks import expect
from scvcell._compat import ModelLifecycle
from scvcell._containers import View, fitted_tables, view
from scvcell.errors import NotLearned, NotTrained
from scvcell.measure import MEASUREMENTS
from scvcell.model import _size_factor
from scvcell.model._check import check_read
from scvcell.model._config import TrainConfig
from scvcell.model._conform import conform
from scvcell.model._gain import told
from scvcell.model._loader import Loader
from scvcell.model._parts import PARTS
from scvcell.model._readout import Readout
from scvcell.model._schema import Schema
from scvcell.model._scores import MAX_KEPT_ROWS, LaterScores
from scvcell.model._source import Source
from scvcell.objective import Weights
from scvcell.state import Posterior

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pandas import DataFrame

    from scvcell._containers import Container, Matrix, Tables
    from scvcell._types import Rows
    from scvcell.measure import Measurement
    from scvcell.model._module import CSLModule
    from scvcell.model._parts import Part
    from scvcell.prior import Edges, GuidanceGraph
    from scvcell.state import Batch

logger = logging.getLogger("scvcell")


class Fitted(ModelLifecycle):
    """States of cells, the operators that measure them, and the parts that were learned on them.

    Parameters
    ----------
    adata
        Container that was set up.
    registry
        Registry of a saved model, instead of data.
    n_latent
        Dimension of z.
    n_components
        Components of the linear front-ends.
    weights
        Weights of the loss terms.
    guidance
        Graph of features that belong together.

    Attributes
    ----------
    parts
        What was learned on the states, by name, see :class:`scvcell.model.Part`; each is an attribute, too.
    outdated
        Names of parts that were learned on states which have moved since.
    split_digest
        ``digest`` of the :class:`scvcell.pp.Split` of which only training cells were trained on; empty without one.
    """

    def __init__(
        self,
        adata: Container | None = None,
        registry: dict[str, Any] | None = None,
        *,
        n_latent: int = TrainConfig.n_latent,
        n_components: int = TrainConfig.n_components,
        weights: Weights | None = None,
        guidance: GuidanceGraph | None = None,
    ) -> None:
        super().__init__(adata, registry)
        self.schema = Schema.from_dict(self.registry_["schema"])
        self.n_latent = n_latent
        self.n_components = n_components
        self.weights = Weights() if weights is None else weights
        expect("weights", self.weights, Weights, "For example weights=scvcell.Weights(align=0.5).")
        self.n_networks = 1
        self.edges: Edges | None = None if guidance is None else guidance.index(self.linkable)
        self.module: CSLModule | None = None
        self.history_: dict[str, DataFrame] = {}
        self.split_: dict[str, Sequence[str]] = {}
        self.split_digest = ""
        self.interrupted = False
        self.progress, self.accelerator = TrainConfig.progress, TrainConfig.accelerator
        self.alignment = ""
        self.matched = 0
        self.gain: dict[str, float] = {}
        self.absent: dict[str, list[str]] = {}
        self.parts: dict[str, Part] = {}
        self.outdated: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """A part by its name, None where it was not learned."""
        if not name.startswith("_") and name in PARTS:
            return self.__dict__.get("parts", {}).get(name)
        # raises AttributeError; for names of scvi-tools that do not work here, its message says what does
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """A part goes to `parts`, None takes it away; all else as ever."""
        if "parts" not in self.__dict__ or name not in PARTS:
            super().__setattr__(name, value)
        elif value is None:
            self.parts.pop(name, None)
        else:
            self.parts[name] = value

    # ------------------------------------------------------------------ what it is

    @property
    def network(self) -> CSLModule:
        """The trained network.

        Raises
        ------
        NotTrained
            If the model is not trained.
        """
        if self.module is None:
            raise NotTrained("This CSL is not trained. Run `model.train()` or scvcell.tl.fit(data).")
        return self.module

    def operator(self, modality: str) -> type[Measurement]:
        """Class of the measurement operator of a modality."""
        return MEASUREMENTS[self.schema.modalities[modality].operator]

    @property
    def assays(self) -> list[str]:
        """Modalities that tell of the state: all but endpoints."""
        return [m for m in self.schema.modalities if self.operator(m).encoded]

    @property
    def columns(self) -> list[str]:
        """Columns of obs that the model reads: context, and what its parts read."""
        return [*self.schema.keys, *(column for part in self.parts.values() for column in part.columns)]

    @property
    def linkable(self) -> dict[str, list[str]]:
        """Features that a guidance graph may join, by modality."""
        return {m: s.features for m, s in self.schema.modalities.items() if self.operator(m).linkable}

    @property
    def nodes(self) -> dict[str, int]:
        """Number of these features, by modality: the nodes of a guidance graph, in order."""
        return {m: len(features) for m, features in self.linkable.items()}

    def trusts(self, modality: str | None = None) -> bool:
        """Whether the fit learned anything about states, and about `modality`; if not, no answer is trusted."""
        return told(self.gain, modality)

    # ------------------------------------------------------------------ parts

    @calm()
    def learn(self, part: str, *args: Any, **options: Any) -> None:
        """Learn a part of the model, by its name; it is kept in ``parts``.

        Parameters
        ----------
        part
            ``"response"`` (what actions do; give :class:`scvcell.PerturbationKeys`), ``"drift"`` (where states go), or
            the name of a part of another package, see :class:`scvcell.model.Part`.
        *args, **options
            What the part's own `learn` takes after the model.
        """
        found = PARTS[part].learn(self, *args, **options)
        self.parts[part] = found
        self.outdated.discard(part)

    def part(self, name: str) -> Any:
        """A part that was learned.

        Raises
        ------
        NotLearned
            If it was never learned, or states have moved since.
        """
        kind = PARTS[name]
        if name in self.outdated:
            raise NotLearned(
                f"The model was trained further since it learned {kind.what or name}, and states have moved. "
                f"Learn it again: {kind.relearn or f'model.learn({name!r})'}."
            )
        if name not in self.parts:
            raise NotLearned(kind.absent or f"This model has no {name} yet. Learn it: model.learn({name!r}).")
        return self.parts[name]

    def outdate(self) -> None:
        """Drop all parts, because states have moved; verbs then say that they must be learned again."""
        self.outdated |= set(self.parts)
        self.parts = {}

    # ------------------------------------------------------------------ data

    def view(self, data: Container | View | None = None, *, check: bool = True, table_key: Tables = None) -> View:
        """`data` (default: the fitted data) with its features brought into the model's order.

        Features that the data lack count as not measured. Data that were viewed already are not read again. With
        `check`, some rows are looked at: data that were normalised after the fit are refused. Of a SpatialData the
        tables that the model was fitted on are read, or `table_key`; verbs take the view in place of the data.

        Raises
        ------
        ValueError
            If a modality has hardly any features of the model, no modality is known, or values cannot be used.
        """
        if self.interrupted and first("interrupted"):
            logger.warning("The training of this model was interrupted, so it may be less exact. Go on: model.train().")
        if data is None:
            if self.adata is None:
                raise ValueError("This model was loaded without data; give the data.")
            try:
                return self.view(self.adata, check=check)
            except ValueError as error:
                raise ValueError(f"Of the data that the model was fitted on: {error}") from None
        if isinstance(data, View):
            return conform(data, self.schema, check=check)
        tables = fitted_tables(data, self.registry_["setup_args"].get("table_key")) if table_key is None else table_key
        return conform(view(data, table_key=tables, skip_empty=True), self.schema, check=check)

    def matrix(self, data: View, name: str, *, check: bool = True) -> Matrix:
        """Raw values of a modality; with `check`, reading values that a fit would refuse raises ValueError."""
        spec = self.schema.modalities[name]
        depth = None if spec.size_factor is None else _size_factor.read(data, name, spec.size_factor)
        return data.matrix(name, spec.layer, check_read(data, name, spec) if check else None, depth)

    def source(self, data: View, *, check: bool = True) -> Source:
        """The source from which mini-batches of a view are cut."""
        design, batch = self.schema.context(data)
        matrices = {m: self.matrix(data, m, check=check) for m in self.schema.modalities if m in data.modalities}
        rows = {m: data.rows[m] for m in matrices}
        panels = {m: p for m in matrices if (p := data.panel(m, self.schema.batches)) is not None}
        scores: dict[str, Any] = {}
        for m in [m for m in matrices if m in self.assays]:
            if matrices[m].on_disk and matrices[m].shape[0] > MAX_KEPT_ROWS:
                scores[m] = LaterScores(self.network.front_ends[m], matrices[m], rows[m], batch, panels.get(m))
                continue
            there, first = np.unique(rows[m], return_index=True)
            there, first = there[there >= 0], first[there >= 0]
            found = self.network.front_ends[m].scores(matrices[m], there, batch[first], panels.get(m))
            kept = np.zeros((matrices[m].shape[0], found.shape[1]), np.float32)
            kept[there] = found
            scores[m] = kept
        operators = {m: self.operator(m) for m in matrices}
        return Source(matrices, rows, scores, operators, design, batch, panels)

    def batches(
        self, source: Source, cells: Rows | None = None, batch_size: int = 1024, *, values: bool = True
    ) -> Iterator[Batch]:
        """Mini-batches of some cells (default: all) in their order, on the model's device; states need no values."""
        cells = np.arange(len(source.batch)) if cells is None else cells
        device = self.network.device
        for batch in Loader(source, cells, batch_size, values=values, device=device):
            yield batch.to(device)

    def readout(self, data: View, name: str, batch: Any = None) -> Readout:
        """One assay of the cells of a view; with `batch`, as if all cells were of it, see `Readout`."""
        return Readout.of(
            self.network.operators[name],
            self.schema,
            data,
            name,
            matrix=self.matrix(data, name) if name in data.modalities else None,
            batch=batch,
            device=self.network.device,
        )

    # ------------------------------------------------------------------ states

    @torch.inference_mode()
    def states(self, source: Source, cells: Rows, modalities: Sequence[str] | None = None) -> Posterior:
        """Posterior of some cells of a source, on CPU."""
        module = self.network.eval()
        parts = [module.posterior(batch, modalities) for batch in self.batches(source, cells, values=False)]
        return Posterior(torch.cat([p.mean for p in parts]).cpu(), torch.cat([p.var for p in parts]).cpu())

    def posterior(self, data: Container | View | None = None, *, modalities: Sequence[str] | None = None) -> Posterior:
        """Posterior of every cell from the given modalities (default: all it has).

        Parameters
        ----------
        data
            Container or a view from `view`; the fitted data by default.
        modalities
            Modalities that may be used.

        Returns
        -------
        Mean and variance on CPU, each ``(cells, latent)``. Cells that have none of the modalities have the prior.
        """
        modalities = [modalities] if isinstance(modalities, str) else modalities
        self.check_modalities(modalities, assays=True)
        seen = data if isinstance(data, View) else self.view(data)
        return self.states(self.source(seen), np.arange(seen.n_obs), modalities)

    def check_modalities(self, names: Iterable[str] | None, *, assays: bool = False) -> None:
        """Refuse names of modalities that the model lacks; with `assays` also endpoints, which encoders never see."""
        names = list(names or ())
        unknown = [m for m in names if m not in list(self.schema.modalities)]
        if unknown:
            raise ValueError(f"The model has no modality {unknown[0]!r}; it has {list(self.schema.modalities)}.")
        endpoints = [m for m in names if assays and m not in self.assays]
        if endpoints:
            raise ValueError(
                f"{endpoints[0]!r} is an endpoint: it is predicted, and tells nothing of the state. "
                f"Give some of {self.assays}."
            )

    def only_modality(self, name: str | None = None) -> str:
        """`name`, checked, or the only modality of the model.

        Raises
        ------
        ValueError
            If the model has no such modality, or several and none is named.
        """
        if name is None:
            if len(self.schema.modalities) > 1:
                raise ValueError(f"The model has {list(self.schema.modalities)}; say which: modality=...")
            return next(iter(self.schema.modalities))
        self.check_modalities([name])
        return name
