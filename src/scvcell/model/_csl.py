"""CSL: the cell-state latent model, on scvi-tools' lifecycle."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from scvcell._calm import calm
from scvcell._checks import whole_number
from scvcell._compat import Manager
from scvcell._containers import View, choose, view
from scvcell.model import _de, _fit, _normalized, _query, _set_up, _store
from scvcell.model._check import by_modality, check_sample
from scvcell.model._config import TrainConfig
from scvcell.model._fitted import Fitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray
    from pandas import DataFrame

    from scvcell._containers import Container, Tables


class CSL(Fitted):
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
        cls.set_up("setup_mudata", view(mdata), **given, size_factor=size_factor)

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
        cls.set_up("setup_anndata", view(adata), table_key, **args, size_factor=size_factor)

    @classmethod
    def set_up(cls, method: str, seen: View, table_key: Tables = None, **args: Any) -> None:
        """Remember how viewed data are to be read, as `setup_mudata` (or `setup_anndata`) was asked to."""
        schema = _set_up.read_schema(seen, **args)
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
        self,
        config: TrainConfig | None = None,
        *,
        held_out: Any = (),
        seed: int = 0,
        max_epochs: int | None = None,
        data: View | None = None,
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
        data
            A view of the model's data, where there is one already.
        """
        if self.adata is None:
            raise ValueError("This model was loaded without data; call train on a model made with data.")
        config = TrainConfig.of(config, max_epochs)
        seed = whole_number("seed", seed)
        seen = view(self.adata) if data is None else data
        check_sample(seen, self.schema.modalities)
        _fit.fit(self, seen, config, seen.obs_names[choose(seen, "held_out", held_out)], seed)

    def learn_actions(self, keys: Any, *, kernel: Any = None, seed: int = 0) -> None:
        """Former name of ``learn("response", keys, kernel=, seed=)``; stays for two minor releases."""
        warnings.warn('learn_actions(keys) is now learn("response", keys).', FutureWarning, stacklevel=2)
        self.learn("response", keys, kernel=kernel, seed=seed)

    def learn_drift(self, data: Any = None, **options: Any) -> None:
        """Former name of ``learn("drift", data, time_key=, clone_key=, seed=)``; stays for two minor releases."""
        warnings.warn('learn_drift(data) is now learn("drift", data).', FutureWarning, stacklevel=2)
        self.learn("drift", data, **options)

    @property
    def calibration_(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Former name of ``calibration.arrays``; stays for two minor releases."""
        warnings.warn("calibration_ is now calibration.arrays.", FutureWarning, stacklevel=2)
        return {} if self.calibration is None else self.calibration.arrays

    # ------------------------------------------------------------------ use

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

    def save(  # type: ignore[override]
        self, dir_path: str | Path, *, overwrite: bool = False, license: str | None = None
    ) -> Path:
        """Write the model and a card to a folder that can be published, see :func:`scvcell.model.save`."""
        return _store.save(self, dir_path, overwrite=overwrite, license=license)

    @classmethod
    @calm()
    def load(  # type: ignore[override]
        cls, dir_path: str | Path, adata: Container | None = None, *, device: str = "cpu"
    ) -> CSL:
        """Read a model from a folder or from the Hugging Face hub, with or without data; nothing is unpickled.

        Parameters
        ----------
        dir_path
            Folder, or where there is none of that name, ``"owner/name"`` or ``"owner/name@revision"`` of the hub.
        adata
            Data to go with it.
        device
            Device of its parameters.

        Raises
        ------
        FileNotFoundError
            If the folder, the repository or one of the files is missing.
        ConnectionError, PermissionError
            If the hub cannot be reached, or asks for a login.
        ValueError
            If it is no such model, or was written by a newer version.
        scvcell.errors.Damaged
            If a file is not what was saved; also a ValueError.
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
