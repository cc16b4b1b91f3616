"""CSL: the cell-state latent model, on scvi-tools' lifecycle."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from scvcell._calm import calm, first
from scvcell._choose import choose
from scvcell._compat import Manager, ModelLifecycle
from scvcell._containers import View, expect, fitted_table, view, whole_number
from scvcell._random import seeded
from scvcell.measure import MEASUREMENTS, Summary
from scvcell.model import _absent, _de, _normalized, _query, _respond, _schema, _size_factor, _steer, _store
from scvcell.model._check import by_modality, check_read, check_sample
from scvcell.model._conform import conform
from scvcell.model._data import Loader, Source
from scvcell.model._front_end import FrontEnd
from scvcell.model._fuse import Posterior
from scvcell.model._gain import gained, told, warn
from scvcell.model._match import NONE, LowRank, Matches, graph_matches, mutual_matches
from scvcell.model._module import CSLModule
from scvcell.model._plan import alignment
from scvcell.model._schema import Schema
from scvcell.model._summary import summarise
from scvcell.model._train import Terminated, TrainConfig, run
from scvcell.objective import Weights
from scvcell.prior import GuidancePrior

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray
    from pandas import DataFrame, Index

    from scvcell._containers import Container
    from scvcell._matrix import Matrix
    from scvcell._types import Rows
    from scvcell.measure import Measurement
    from scvcell.model._data import Batch
    from scvcell.model._drift import Drift
    from scvcell.model._response import Response
    from scvcell.perturb import PerturbationKeys
    from scvcell.prior import Edges, GuidanceGraph, TargetKernel

logger = logging.getLogger("scvcell")


class CSL(ModelLifecycle):
    r"""One latent of the cell's state for whatever assays each cell has.

    .. math::
        q(z \mid x_A) \propto p(z) \prod_{m \in A} q_m(z \mid x_m), \qquad
        L_{obs} = \sum_m E_q[-\log p(x_m \mid M_m(z), c)] + \mathrm{KL} + \lambda_{align} L_{align}

    Usually made by :func:`scvcell.tl.fit`; by hand it follows scvi-tools: `setup_mudata`, construct, `train`.

    Parameters
    ----------
    adata
        Container that was set up.
    registry
        Registry of a saved model, instead of data.
    n_latent
        Dimension of z; the prior silences what the data do not need.
    n_components
        Components of the linear front-ends.
    weights
        Weights of the loss terms.
    guidance
        Graph of features that belong together, see :func:`scvcell.pp.link_features`.

    References
    ----------
    Hu and Chen, Insights into Artificial Intelligence Virtual Cells (eq. 2).
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
        self.split_: dict[str, list[str]] = {}
        self.calibration_: dict[str, dict[str, NDArray[np.float32]]] = {}
        self.interrupted = False
        self.outdated: set[str] = set()
        self.progress, self.accelerator = TrainConfig.progress, TrainConfig.accelerator
        self.alignment = ""
        self.matched = 0
        self.gain: dict[str, float] = {}
        self.absent: dict[str, list[str]] = {}
        self.response: Response | None = None
        self.drift: Drift | None = None

    # ------------------------------------------------------------------ setup

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        measure: Mapping[str, Any] | str | None = None,
        batch_key: str | None = None,
        covariates: Sequence[str] = (),
        layers: Mapping[str, str] | str | None = None,
        size_factor: Mapping[str, str | None] | str | None = None,
    ) -> None:
        """Check a MuData and remember how it is to be read; nothing in it changes.

        Parameters
        ----------
        mdata
            Data; modalities may cover different cells.
        measure
            Modality -> operator name or ``(name, options)``; recognised from the modality's name by default.
        batch_key
            Column of the batch.
        covariates
            Further context columns, categorical or continuous.
        layers
            Modality -> layer of its raw counts, or one layer for all that have it; ``X`` by default.
        size_factor
            Modality -> obs column of the counts of each cell over all genes, see :func:`scvcell.tl.fit`.
        """
        given: dict[str, Any] = {"measure": measure, "batch_key": batch_key, "covariates": covariates, "layers": layers}
        cls._setup("setup_mudata", mdata, **given, size_factor=size_factor)

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        measure: Mapping[str, Any] | str | None = None,
        batch_key: str | None = None,
        covariates: Sequence[str] = (),
        layers: Mapping[str, str] | str | None = None,
        size_factor: Mapping[str, str | None] | str | None = None,
        table_key: str | None = None,
    ) -> None:
        """Check an AnnData (one modality, called ``"rna"``); as `setup_mudata`.

        `table_key` is the table of a SpatialData that this one is: verbs that are given the SpatialData read it.
        """
        args: dict[str, Any] = {"measure": measure, "batch_key": batch_key, "covariates": covariates, "layers": layers}
        cls._setup("setup_anndata", adata, table_key, **args, size_factor=size_factor)

    @classmethod
    def _setup(cls, method: str, data: Container, table_key: str | None = None, **args: Any) -> None:
        seen = view(data, table_key=table_key)
        schema = _schema.build(seen, **args)
        measure, layers = by_modality(seen, args.get("measure"), args.get("layers"))
        sized = {m: s.size_factor for m, s in schema.modalities.items() if s.size_factor is not None}
        given = {m: (schema.modalities[m].operator, schema.modalities[m].options) for m in measure}
        read = {"batch_key": schema.batch_key, "covariates": [*schema.categorical, *schema.continuous]}
        plain = args | read | {"measure": given or None, "layers": layers or None, "table_key": table_key}
        plain |= {"size_factor": sized or None}
        manager = Manager(
            seen.source, model_name=cls.__name__, method=method, setup_args=plain, schema=schema.as_dict()
        )
        cls.register_manager(manager)

    # ------------------------------------------------------------------ training

    @calm()
    def train(  # type: ignore[override]
        self, config: TrainConfig | None = None, *, held_out: Any = (), seed: int = 0, max_epochs: int | None = None
    ) -> None:
        """Fit the model to its data; a model that is trained already goes on from where it is.

        Parameters
        ----------
        config
            Training settings.
        held_out
            Cells that no step may see (test cells of a split): names, a boolean mask or a query on obs.
        seed
            Drives everything random; the same seed on the same machine repeats bit by bit on CPU.
        max_epochs
            Short for ``TrainConfig(max_epochs=...)``.
        """
        if self.adata is None:
            raise ValueError("This model was loaded without data; call train on a model made with data.")
        config = TrainConfig.of(config, max_epochs)
        seed = whole_number("seed", seed)
        self.progress, self.accelerator = config.progress, config.accelerator
        data = view(self.adata)
        check_sample(data, self.schema.modalities)
        held_out = data.obs_names[choose(data, "held_out", held_out)]
        kept = dict(self.__dict__)
        design, batch = self.schema.context(data)
        train, validation = self._split(data, batch, config, held_out, seed)
        linked = None if self.edges is None else self.edges.linked(self.nodes)
        self.alignment = alignment(data.only(self.assays), train, linked)
        rng = np.random.default_rng(seed)
        again, self.interrupted, module = self.interrupted and not self.matched, False, self.module
        with seeded(seed):
            fresh = module is None
            if module is None:
                summaries = self._summaries(data, batch, train)
                operators = {m: self.operator(m) for m in summaries}
                self.absent = _absent.in_summaries(summaries, operators, self.schema.batches)
                _absent.say(self.absent, self.schema.batch_key)
                self.n_networks = config.networks(len(train))
                module = self._build(summaries)
                for name, front in module.front_ends.items():
                    rows = data.rows[name][train]
                    panel = data.panel(name, self.schema.batches)
                    front.fit(
                        self._matrix(data, name, check=False), rows[rows >= 0], batch[train][rows >= 0], rng, panel
                    )
            try:
                self.module = module
                source = self._source(data, design, batch, check=False)
                names = data.obs_names.to_numpy().astype(str)
                seen = sorted(set(self.split_.get("train", [])).difference(names[train]))
                self.split_ = {"train": [*names[train].tolist(), *seen], "validation": names[validation].tolist()}
                self.train_indices_, self.validation_indices_ = train, validation
                unmatched = self.alignment in ("partly paired", "unpaired, guidance graph")
                rounds = config.rematch if (fresh or again) and self.weights.align and unmatched else 0
                self._fit(source, train, validation, config, seed, rounds)
            except BaseException as stop:
                self._stopped(stop, kept)
            self._outdate()
            self.gain = gained(self._trained_module(), source, validation if len(validation) else train)
            warn(self.gain)

    def _stopped(self, stop: BaseException, kept: dict[str, Any]) -> None:
        """What a training that ended early leaves: the last usable parameters, or all as it was, `kept`."""
        if not self.is_trained_ or not isinstance(stop, KeyboardInterrupt | Terminated):
            moved = kept["is_trained_"] and self.history_ is not kept["history_"]
            self.__dict__.clear()
            self.__dict__.update(kept)
            if moved:
                self._outdate()
            raise stop
        self.interrupted = True
        if isinstance(stop, Terminated):
            stop.model = self
            self._outdate()
            raise stop
        logger.warning("Training was interrupted; the model is usable as it is.")

    def _outdate(self) -> None:
        """Drop what was learned on states that have moved since; verbs say that it is to be learned again."""
        self.calibration_ = {}
        for part in ("response", "drift"):
            if getattr(self, part) is not None:
                setattr(self, part, None)
                self.outdated.add(part)

    def trusts(self, modality: str | None = None) -> bool:
        """Whether the fit learned anything of cells' states, and of `modality`; if not, no answer is trusted."""
        return told(self.gain, modality)

    def _fit(
        self,
        source: Source,
        train: Rows,
        validation: Rows,
        config: TrainConfig,
        seed: int,
        rounds: int,
    ) -> None:
        """Train, then take mutual matches between assays for pairs and fit anew, `rounds` times.

        Where nothing but a guidance graph joins the assays, the first fit has pairs too: those that the graph suggests.
        """
        rng, paired = np.random.default_rng(seed), source.paired(train)

        def fit(found: Matches) -> bool:
            """Train on the cells, the `found` ones merged, in as many steps as without them."""
            pairs = Matches(train[found.one], train[found.other], found.confidence)
            rest, data, settings = np.setdiff1d(train, pairs.other), source, config
            self._trained_module().n_train, self._trained_module().paired = len(rest), paired
            if len(pairs.one):
                data = source.matched(pairs)
                full, fewer = (
                    len(Loader(source, c, config.cells_per_step(len(c)), shuffle=True)) for c in (train, rest)
                )
                settings = replace(config, max_epochs=math.ceil(config.epochs(len(train)) * full / fewer))
            finished = run(self, data, rest, validation, settings, seed)
            self.matched = len(pairs.one) if finished else self.matched
            return finished

        found = NONE
        if rounds and self.edges is not None and self.alignment == "unpaired, guidance graph":
            found = self._graph_matches(self.edges, source, train, rng)
        finished = fit(found)
        has = np.stack([source.rows[m][train] >= 0 for m in self.assays], 1)
        for number in range(rounds if finished else 0):
            before, history = self._trained_module(), self.history_
            found = mutual_matches(self._posterior(source, train).mean.numpy(), source.batch[train], has, rng)
            if len(found.one) == 0:
                return
            logger.info("Round %d: %d cells have a match in another assay; fitting anew.", number + 1, len(found.one))
            try:
                self.module = self._build(self._summaries(view(self.adata), source.batch, train))
                self.module.front_ends.load_state_dict(before.front_ends.state_dict())
                finished = fit(found)
            except BaseException:
                self.module, self.history_ = before, history
                raise
            if not finished:
                logger.warning("The round was interrupted; the model is the one before it.")
                self.module, self.history_ = before, history
                return

    def _graph_matches(self, edges: Edges, source: Source, cells: Rows, rng: np.random.Generator) -> Matches:
        """Pseudo-pairs before any fit: cells of two assays whose linked features are alike."""
        module = self._trained_module()
        views = {}
        for name in self.nodes:
            front, mine = module.front_ends[name], source.rows[name][cells]
            scores = source.scores[name][mine[mine >= 0], :-1]
            loadings = front.loadings.cpu().numpy() if front.project else np.eye(front.n_features, dtype=np.float32)
            views[name] = LowRank(np.flatnonzero(mine >= 0), scores, loadings)
        found = graph_matches(views, self.nodes, edges, source.batch[cells], rng)
        logger.info("The guidance graph suggests a match in another assay for %d cells.", len(found.one))
        return found

    def _split(self, data: View, batch: Rows, config: TrainConfig, held_out: Index, seed: int) -> tuple[Rows, Rows]:
        """Training and validation cells, the same share of every batch and combination of assays."""
        rng = np.random.default_rng(seed)
        allowed = ~data.obs_names.isin(held_out)
        seen, known = (data.obs_names.isin(self.split_.get(part, [])) for part in ("train", "validation"))
        if (seen & ~allowed).any():
            logger.warning("%d of the cells that are held out were trained on before.", (seen & ~allowed).sum())
        if not allowed.any():
            raise ValueError("Every cell is held out; nothing is left to train on.")
        pattern = batch.astype(np.int64)
        for name in data.modalities:
            present = data.present(name)
            if not (present & allowed).any():
                raise ValueError(f"Modality {name!r} is present in no training cell. Drop it or change the split.")
            pattern = pattern * 2 + present
        share = config.held_out(int(allowed.sum()))
        chosen, fresh = [np.flatnonzero(known & allowed)], allowed & ~seen & ~known  # others can calibrate nothing
        for value in np.unique(pattern[fresh]):
            cells = np.flatnonzero((pattern == value) & fresh)
            chosen.append(rng.permutation(cells)[: round(share * len(cells))])
        validation = np.sort(np.concatenate(chosen))
        train = np.setdiff1d(np.flatnonzero(allowed), validation)
        return train, validation

    def _matrix(self, data: View, name: str, *, check: bool = True) -> Matrix:
        """Raw values of a modality; with `check`, what is read of them is refused where the fit would refuse it."""
        spec = self.schema.modalities[name]
        depth = None if spec.size_factor is None else _size_factor.read(data, name, spec.size_factor)
        return data.matrix(name, spec.layer, check_read(data, name, spec) if check else None, depth)

    def _summaries(self, data: View, batch: Rows, train: Rows) -> dict[str, Summary]:
        out = {}
        for name in self.schema.modalities:
            rows = data.rows[name][train]
            here = rows >= 0
            out[name] = summarise(
                self._matrix(data, name, check=False),
                rows[here],
                batch[train][here],
                len(self.schema.batches),
                self.schema.n_context,
                self.operator(name),
                data.panel(name, self.schema.batches),
            )
        return out

    def _build(self, summaries: dict[str, Summary]) -> CSLModule:
        operators, front_ends = {}, {}
        n_batches = len(self.schema.batches)
        for name, spec in self.schema.modalities.items():
            cls = self.operator(name)
            operators[name] = cls(self.n_latent, summaries[name], **spec.options)
            if cls.encoded:
                front_ends[name] = FrontEnd(cls, len(spec.features), n_batches, self.n_components)
        prior = None
        if self.edges is not None:
            prior = GuidancePrior(self.nodes, self.edges, self.n_latent)
        return CSLModule(operators, front_ends, self.n_latent, self.weights, self.n_networks, prior)

    def _source(self, data: View, design: NDArray[np.float32], batch: Rows, *, check: bool = True) -> Source:
        """Where mini-batches of `data` are cut from."""
        matrices = {m: self._matrix(data, m, check=check) for m in self.schema.modalities if m in data.modalities}
        module = self._trained_module()
        rows = {m: data.rows[m] for m in matrices}
        panels = {m: p for m in matrices if (p := data.panel(m, self.schema.batches)) is not None}
        scores = {}
        for m in [m for m in matrices if m in self.assays]:
            there, first = np.unique(rows[m], return_index=True)
            there, first = there[there >= 0], first[there >= 0]
            found = module.front_ends[m].scores(matrices[m], there, batch[first], panels.get(m))
            scores[m] = np.zeros((matrices[m].shape[0], found.shape[1]), np.float32)
            scores[m][there] = found
        operators = {m: self.operator(m) for m in matrices}
        return Source(matrices, rows, scores, operators, design, batch, panels)

    def operator(self, modality: str) -> type[Measurement]:
        """Class of the measurement operator of a modality."""
        return MEASUREMENTS[self.schema.modalities[modality].operator]

    @property
    def assays(self) -> list[str]:
        """Modalities that tell of the state: all but endpoints."""
        return [m for m in self.schema.modalities if self.operator(m).encoded]

    @property
    def columns(self) -> list[str]:
        """Columns of obs that the model reads: context, and what was done."""
        return [*self.schema.keys, *(self.response.keys.columns if self.response else ())]

    @property
    def linkable(self) -> dict[str, list[str]]:
        """Features that a guidance graph may join, by modality."""
        return {m: s.features for m, s in self.schema.modalities.items() if self.operator(m).linkable}

    @property
    def nodes(self) -> dict[str, int]:
        """Number of these features, by modality: the nodes of a guidance graph, in order."""
        return {m: len(features) for m, features in self.linkable.items()}

    @calm()
    def learn_actions(self, keys: PerturbationKeys, *, kernel: TargetKernel | None = None, seed: int = 0) -> None:
        """Learn what was done to the cells of the training data; see :class:`scvcell.model.Response`.

        Parameters
        ----------
        keys
            Columns that say what was done.
        kernel
            Likeness of targets, for those that were never perturbed.
        seed
            Seed.
        """
        self._trained_module()
        self.response = _respond.fit(self, keys, kernel=kernel, seed=seed)
        self.outdated.discard("response")

    @calm()
    def learn_drift(
        self,
        data: Container | View | None = None,
        *,
        time_key: str | None = None,
        clone_key: str | None = None,
        seed: int = 0,
    ) -> None:
        """Learn where states are going; see :class:`scvcell.model.Drift`.

        Parameters
        ----------
        data
            Container or a view from `view`; the fitted data by default. Training cells are used, where there are any.
        time_key
            Column of the time of each cell; without it, kinetics tell.
        clone_key
            Column of the clone of each cell, missing where it is not known.
        seed
            Seed.

        Raises
        ------
        ValueError
            If there are neither kinetics nor times, or too few of them; or no clone has cells at consecutive times.
        """
        seen = data if isinstance(data, View) else self.view(data)
        self.drift = _steer.fit(self, seen, time_key, clone_key, seed)
        self.outdated.discard("drift")

    def _trained_module(self) -> CSLModule:
        if self.module is None:
            raise RuntimeError("This CSL is not trained. Run `model.train()` or scvcell.tl.fit(data).")
        return self.module

    # ------------------------------------------------------------------ use

    def view(self, data: Container | None = None, *, check: bool = True) -> View:
        """`data` (default: the fitted data) with its features brought into the model's order.

        Features that the data lack count as not measured. With `check`, some rows are looked at: data that were
        normalised after the fit are refused.

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
        table = fitted_table(data, self.registry_["setup_args"].get("table_key"))
        return conform(view(data, table_key=table, skip_empty=True), self.schema, check=check)

    def source(self, data: View) -> Source:
        """Mini-batch source of a view."""
        return self._source(data, *self.schema.context(data))

    def batches(self, source: Source, cells: Rows | None = None, batch_size: int = 1024) -> Iterator[Batch]:
        """Walk through cells (default: all) in order, on the model's device."""
        for batch in Loader(source, np.arange(len(source.batch)) if cells is None else cells, batch_size):
            yield batch.to(self._trained_module().device)

    @torch.inference_mode()
    def _posterior(self, source: Source, cells: Rows, modalities: Sequence[str] | None = None) -> Posterior:
        """Posterior of some cells, on CPU."""
        module = self._trained_module().eval()
        parts = [module.posterior(batch, modalities) for batch in self.batches(source, cells)]
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
        Mean and variance on CPU, each ``(cells, latent)``; cells without any of the modalities have the prior.
        """
        modalities = [modalities] if isinstance(modalities, str) else modalities
        self.check_modalities(modalities, assays=True)
        seen = data if isinstance(data, View) else self.view(data)
        return self._posterior(self.source(seen), np.arange(seen.n_obs), modalities)

    def check_modalities(self, names: Iterable[str] | None, *, assays: bool = False) -> None:
        """Refuse modality names that the model does not know; with `assays`, also endpoints, which tell of no state."""
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

    def get_latent_representation(
        self, adata: Container | None = None, *, modalities: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Posterior mean of z, shape ``(cells, latent)``."""
        return self.posterior(adata, modalities=modalities).mean.numpy()

    def parameters(self) -> dict[str, Any]:
        """Plain values that describe the model, as written to ``.uns``."""
        return {
            "n_latent": self.n_latent,
            "n_components": self.n_components,
            "weights": asdict(self.weights),
            "modalities": {m: s.operator for m, s in self.schema.modalities.items()},
            "batch_key": self.schema.batch_key or "",
        }

    def __repr__(self) -> str:
        state = "trained" if self.is_trained_ else "not trained"
        mods = ", ".join(f"{m} ({len(s.features)}, {s.operator})" for m, s in self.schema.modalities.items())
        return f"CSL with {self.n_latent} dimensions on {mods}; {len(self.schema.batches)} batches; {state}."

    # ------------------------------------------------------------------ lifecycle

    def adopt(self, data: Container) -> None:
        """Attach data to a model that was loaded without."""
        seen = self.view(data)
        self.schema.context(seen)
        self._adata = seen.source
        self._adata_manager = Manager(
            seen.source,
            model_name=type(self).__name__,
            method=self.registry_["setup_method_name"],
            setup_args=self.registry_["setup_args"],
            schema=self.registry_["schema"],
        )

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> Path:  # type: ignore[override]
        """Write the model to a folder, see :func:`scvcell.model.save`."""
        return _store.save(self, dir_path, overwrite=overwrite)

    @classmethod
    @calm()
    def load(  # type: ignore[override]
        cls, dir_path: str | Path, adata: Container | None = None, *, device: str = "cpu"
    ) -> CSL:
        """Read a model from a folder, with or without data; nothing is unpickled.

        Raises
        ------
        FileNotFoundError
            If the folder or one of its files is missing.
        ValueError
            If it is no such model, was written by a newer layout, or is damaged.
        """
        return _store.load(cls, dir_path, adata, device=device)

    @calm()
    def load_query_data(  # type: ignore[override]
        self, adata: Container, *, train: TrainConfig | None = None, seed: int = 0
    ) -> CSL:
        """A model that also knows the batches of query data; this one does not change.

        See :func:`scvcell.model.load_query_data`.
        """
        return _query.load_query_data(self, adata, train=train, seed=seed)

    @calm()
    def differential_expression(
        self,
        adata: Container | None = None,
        groupby: str | None = None,
        group1: Any = None,
        group2: Any = None,
        *,
        modality: str | None = None,
        delta: float = 0.25,
        fdr: float = 0.05,
    ) -> DataFrame:
        """Features of a modality that differ between groups of cells, by scvi-tools' Bayesian test.

        See :func:`scvcell.model.differential_expression`.
        """
        return _de.differential_expression(
            self, adata, groupby, group1, group2, modality=modality, delta=delta, fdr=fdr
        )

    def get_normalized_expression(
        self,
        adata: Container | None = None,
        indices: Any = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: float | Literal["latent"] = 1,
        n_samples: int = 1,
        *,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        modality: str | None = None,
        seed: int = 0,
    ) -> DataFrame | NDArray[np.float32]:
        """Denoised expression of cells, as scvi-tools' models give it; see :func:`scvcell.model.normalized_expression`.

        For intervals, and for assays that are no counts, see :func:`scvcell.tl.translate`.
        """
        return _normalized.normalized_expression(
            *(self, adata, indices, transform_batch, gene_list, library_size, n_samples),
            return_mean=return_mean,
            return_numpy=return_numpy,
            modality=modality,
            seed=seed,
        )
