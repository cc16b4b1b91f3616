"""The only file that touches private API of scvi-tools, anndata or mudata."""

from __future__ import annotations

import weakref
from copy import copy
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar

import scvi
from scvi.data import AnnDataManager
from scvi.data._constants import _MODEL_NAME_KEY, _SETUP_ARGS_KEY, _SETUP_METHOD_NAME
from scvi.model.base import BaseModelClass
from scvi.model.base._de_core import _de_core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scvcell._containers import Container

__all__ = ["Manager", "ModelLifecycle", "de_core", "scvi_version"]

de_core = _de_core
scvi_version: str = scvi.__version__


class Manager(AnnDataManager):
    """scvi-tools' data manager for cells with different modalities; marks nothing in the user's object.

    Parameters
    ----------
    adata
        The container.
    model_name, method
        Names of the model class and of its setup method.
    setup_args
        Plain arguments of the setup, replayed at load.
    schema
        What the setup learned, as plain values.
    """

    def __init__(self, adata: Container, *, model_name: str, method: str, setup_args: dict, schema: dict) -> None:
        setup = {_MODEL_NAME_KEY: model_name, _SETUP_METHOD_NAME: method, _SETUP_ARGS_KEY: setup_args}
        super().__init__(fields=[], setup_method_args=setup)
        self.adata = adata
        self._registry["field_registries"] = {}
        self._registry["schema"] = schema

    @property
    def adata_uuid(self) -> str:
        """Identity of this manager; scvi-tools would write it into ``.uns``."""
        return self.id

    def validate(self) -> None:
        """Nothing to replay: data are read through a `View` each time."""


class _Absent:
    """A method of scvi-tools that has no meaning here: not listed by ``dir``; the error says what to call instead."""

    def __init__(self, instead: str) -> None:
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no {self.name}. {self.instead}")


def _without_absent(owner: type, names: Iterable[str]) -> list[str]:
    return [name for name in names if not isinstance(getattr_static(owner, name, None), _Absent)]


class _Lifecycle(type(BaseModelClass)):  # type: ignore[misc]
    """scvi-tools' metaclass, with a ``dir`` of what works."""

    def __dir__(cls) -> list[str]:
        return _without_absent(cls, super().__dir__())


class ModelLifecycle(BaseModelClass, metaclass=_Lifecycle):
    """`BaseModelClass` without marks in the user's data and without class-level stores that keep data alive."""

    differential_abundance = _Absent("Milo (pertpy) compares abundances on the neighbours of .obsm['X_csl'].")
    convert_legacy_save = _Absent("Read a model with CSL.load(folder).")
    load_registry = _Absent("Read a model with CSL.load(folder); print it.")
    view_setup_args = _Absent("Read a model with CSL.load(folder); print it.")
    setup_annbatch = _Absent("Give data on disk as a backed AnnData: anndata.read_h5ad(path, backed='r').")
    view_anndata_setup = _Absent("print(model) says what was set up, model.schema all of it.")
    view_registry = _Absent("print(model) says what was set up, model.schema all of it.")
    data_registry = _Absent("See model.schema.")
    get_state_registry = _Absent("See model.schema.")
    get_from_registry = _Absent("See model.schema.")
    get_var_names = _Absent("See model.schema.modalities[name].features.")
    transfer_fields = _Absent("New data go to the verbs, scvcell.tl.")
    update_setup_method_args = _Absent("New data go to the verbs, scvcell.tl.")
    deregister_manager = _Absent("New data go to the verbs, scvcell.tl.")

    def __dir__(self) -> list[str]:
        return _without_absent(type(self), super().__dir__())

    def __getstate__(self) -> dict[str, Any]:
        """A copy, and what is sent to another process, is the model without its data, as on disk."""
        return {**self.__dict__, "_adata": None, "_adata_manager": None}

    _adata: Any
    _adata_manager: Any
    _setups: ClassVar[dict[int, tuple[weakref.ref, Manager]]] = {}

    @classmethod
    def register_manager(cls, adata_manager: Manager) -> None:  # type: ignore[override]
        """Remember a setup until a model takes it or the container is gone."""
        data = adata_manager.adata
        adata_manager.adata = None
        key = id(data)
        cls._setups[key] = (weakref.ref(data, lambda _: cls._setups.pop(key, None)), adata_manager)

    @classmethod
    def _get_most_recent_anndata_manager(cls, adata: Container, required: bool = False) -> Manager | None:  # type: ignore[override]
        reference, manager = cls._setups.get(id(adata), (None, None))
        if manager is None or reference is None or reference() is not adata:
            if required:
                raise ValueError(
                    f"Set up the data first: {cls.__name__}.setup_mudata(data) (or setup_anndata), "
                    "or let scvcell.tl.fit(data) do it all."
                )
            return None
        mine = copy(manager)
        mine.adata = adata
        return mine

    def _register_manager_for_instance(self, adata_manager: AnnDataManager) -> None:
        """The instance holds its manager itself."""

    def get_anndata_manager(self, adata: Container, required: bool = False) -> Manager | None:  # type: ignore[override]
        """The manager of the data the model was fitted on."""
        return self._adata_manager if adata is self._adata else None

    def forget(self) -> None:
        """Drop the reference to the fitted data."""
        self._adata = None
        self._adata_manager = None


def shim_manager(adata: Any) -> Any:
    """What scvi's differential-expression core needs of a manager: an object with ``.adata``."""
    manager = AnnDataManager()
    manager.adata = adata
    return manager
