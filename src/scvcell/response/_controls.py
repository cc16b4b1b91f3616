"""Untreated cells that an action starts from, and how a user chooses cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scvcell import _keys
from scvcell._checks import expect, listed
from scvcell._containers import choose
from scvcell._labels import PLAIN, group, label, tell_missing
from scvcell.model import CSL
from scvcell.perturb import Action, as_action, label_cells, read_design
from scvcell.response._bulk import FEWEST, Bulk
from scvcell.response._contrast import contrasts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

    from scvcell._containers import Container, View
    from scvcell._types import Array, Mask, Rows
    from scvcell.perturb import Design
    from scvcell.response._contrast import Contrast
    from scvcell.response._learn import Response


logger = logging.getLogger("scvcell")


class Controls:
    """Untreated cells that an action starts from, with what the verbs need of them.

    Parameters
    ----------
    data, model, cells
        As :func:`scvcell.tl.perturb`.
    groupby
        Columns of the groups; by default the contexts of the fit, as far as the data have them. Cells without a label
        there are left out, with a line that counts them.

    Attributes
    ----------
    view
        The model's view of the data.
    response
        The perturbation operator.
    design
        What was done to which cell of the data; None where they do not say it, and the user says which are untreated.
    index
        Positions of the cells.
    latent
        State of each of them, ``(cells, latent)``.
    """

    def __init__(
        self, data: Container, model: CSL, cells: Any = None, groupby: str | Sequence[str] | None = None
    ) -> None:
        self.model, self.response = model, learned(model)
        self.view = model.view(data)
        self.design = _told(self.view, self.response, cells)
        treated = np.zeros(self.view.n_obs, bool) if self.design is None else self.design.treated
        self.index = _known(_choose(self.view, cells, ~treated, self.response), self.design, self.response)
        self._names, self._group = self._grouped(groupby)
        self.index, self._group = self.index[self._group >= 0], self._group[self._group >= 0]
        self.part = self.view.subset(self.index)
        self.latent: torch.Tensor = model.posterior(self.part).mean

    def _grouped(self, groupby: str | Sequence[str] | None) -> tuple[Sequence[Any], Rows]:
        """Names of all groups, and of each of the cells the number of its group, -1 where it has none."""
        names = None if groupby is None else listed("groupby", groupby, "names of obs columns")
        if names is None:
            known = self.view.columns
            names = [name for name in self.response.keys.contexts if name in known]
        if not len(names):
            return ["all"], np.zeros(len(self.index), np.int64)
        found = group([self.view.column(name) for name in names])
        tell_missing(found.code[self.index] < 0, names)
        return found.names, found.code[self.index]

    def groups(self) -> Iterator[tuple[Any, Rows]]:
        """Name and positions (among the controls) of each group."""
        for number in np.unique(self._group):
            yield self._names[number], np.flatnonzero(self._group == number)

    def label(self, obs: pd.DataFrame, action: Action) -> pd.DataFrame:
        """Annotation of untreated cells after an action, in the columns of the fit and as text in ``action``.

        A column reads as that of cells of the data which had the same action, if there are any.
        """
        keys, seen = self.response.keys, None
        if self.design is not None and action in self.design.actions:
            cell = np.flatnonzero(self.design.code == self.design.actions.index(action))[0]
            names = [name for name in keys.columns if name not in keys.contexts]
            seen = {name: self.view.column(name).to_numpy()[cell] for name in names}
        return show_action(label_cells(obs, keys, action, seen), str(action), self.response)

    def encode(
        self, cells: Rows, values: Mapping[str, Array], depth: Mapping[str, Array] | None = None
    ) -> torch.Tensor:
        """States of cells, of which some may occur twice, whose measurements are `values`, ``(cells, latent)``.

        Where the fit read the depth from a column, it is `depth`, by default that of the cells.
        """
        part, tables = self.view.subset(cells), {}
        obs = pd.DataFrame({key: part.column(key) for key in self.model.schema.keys}, index=part.obs_names)
        obs.index = [f"{i}" for i in range(len(cells))]
        for m, table in values.items():
            schema = self.model.schema.modalities[m]
            layers = {} if schema.layer is None else {schema.layer: table}
            tables[m] = AnnData(table, obs=obs.copy(), var=pd.DataFrame(index=schema.features), layers=layers)
            if schema.size_factor is not None:
                deep = self.whole[m].after(cells) if depth is None else depth[m]
                tables[m].obs[schema.size_factor] = np.maximum(deep, table.sum(1))
        return self.model.posterior(self.model.view(MuData(tables))).mean

    @cached_property
    def bulks(self) -> dict[str, Bulk]:
        """Pseudobulks of every modality that actions act on, among the controls."""
        return {m: Bulk(self.model.readout(self.part, m)) for m in self.response.anchors}

    @cached_property
    def whole(self) -> dict[str, Bulk]:
        """The same among all cells of the data."""
        return {m: Bulk(self.model.readout(self.view, m)) for m in self.response.anchors}


def learned(model: CSL) -> Response:
    """What a model knows of actions; refused if that is nothing."""
    expect("model", model, CSL, "The data come first, then the model.")
    found: Response = model.part("response")
    return found


def asked(response: Response, action: str | Iterable[str] | Mapping[str, float | str | None] | Action) -> Action:
    """An action that a verb was given, in the terms of the fit.

    Text and numbers read as a label of the data, and control labels are no action; so does text that results and
    messages show for an action of training. Doses come in the unit of the fit, in which
    plain numbers are. A dose that is not given is the largest of its target in training, a time the longest.
    """
    made = as_action(_named(action, response), response.keys, response.dose_units)
    if isinstance(action, str) and not all(map(response.flow.knows, made.targets)):
        made = {str(each): each for each in (Action(), *response.actions)}.get(action.strip(), made)
    return made.filled(response.flow.largest, response.dose_units, response.flow.span)


def asked_each(response: Response, actions: Any) -> list[Action] | None:
    """`asked` of one action or of several; None where none is given."""
    if actions is None:
        return None
    return [asked(response, action) for action in listed("actions", actions, "actions, one or several")]


def _named(action: Any, response: Response) -> Any:
    """An action whose targets are text, where those of the data are numbers or truth values."""
    if isinstance(action, PLAIN):
        known = (*response.flow.targets, *response.keys.controls)
        return label(action) if label(action) in known else action
    if isinstance(action, Mapping):
        return {as_target(name): dose for name, dose in action.items()}
    if isinstance(action, str | Action) or not np.iterable(action):
        return action
    return list(map(as_target, action))


def as_target(name: Any) -> Any:
    """Name of a target as text, where those of the data are numbers or truth values."""
    return label(name).strip() if isinstance(name, (str, *PLAIN)) else name


def show_action(obs: pd.DataFrame, text: str, response: Response | None) -> pd.DataFrame:
    """Annotation with what was done as text in the column ``action``, unless the fit reads a column of this name."""
    taken = response is not None and _keys.ACTION in response.keys.columns
    return obs if taken else obs.assign(**{_keys.ACTION: text})


def design_of(view: View, response: Response) -> Design:
    """What was done to which cell, doses in the units of the fit; cells of which it is not known are counted."""
    design = read_design(response.keys, view.column, units=response.dose_units, complete=False)
    lost = int((design.code == -2).sum())
    if lost:
        logger.warning(
            "%d of %d cells have no label in obs[%r]; they are left out, as what was done to them is not known.",
            lost,
            view.n_obs,
            response.keys.target,
        )
    return design


def compared(design: Design | None, response: Response) -> Design:
    """The design of data, refused if treated cells cannot be compared with controls."""
    where = f"obs[{response.keys.target!r}]"
    if design is None:
        raise ValueError(f"The data have no column {where}; it says which cells are treated, and with what.")
    if not design.control.any():
        raise ValueError(f"No cell is a control in {where}, one of {list(response.keys.controls)}; give these as well.")
    if not design.treated.any():
        raise ValueError(f"Every cell is a control in {where}, or not known; give treated cells as well.")
    tell_missing(design.context < 0, response.keys.contexts)
    return _with_controls(design, response)


def _with_controls(design: Design, response: Response) -> Design:
    """The design without the treated cells that no control is to be compared with, of which a line tells.

    Raises
    ------
    ValueError
        If no treated cell is left.
    """
    in_context = design.context >= 0
    own = np.isin(design.context, design.context[design.control & in_context]) & in_context
    where = " and ".join(f"obs[{name!r}]" for name in response.keys.contexts)
    if not (design.treated & own).any():
        raise ValueError(f"No treated cell has a control of its own {where}, to compare it with; give these as well.")
    alone = design.treated & in_context & ~own
    if alone.any():
        logger.warning(
            "%d of %d treated cells have no control of their own %s; they are left out.",
            *(alone.sum(), design.treated.sum(), where),
        )
    return replace(design, code=np.where(alone, -2, design.code))


def treated(design: Design, actions: Sequence[Action]) -> dict[tuple[str, Any], Contrast]:
    """Cells that were given some actions, and their controls, by action and context.

    Conditions of fewer than 10 treated or control cells are left out, with a warning.

    Raises
    ------
    ValueError
        If no cell was given one of the actions, or every condition has too few cells.
    """
    lost = [action for action in actions if action not in design.actions]
    if lost:
        given = ", ".join(map(str, design.actions[:8])) + (", ..." if len(design.actions) > 8 else "")
        raise ValueError(f"No cell of the data was given {str(lost[0])!r}; cells were given {given}.")
    units = {
        (str(unit.action), design.contexts[unit.context]): unit
        for unit in contrasts(design, np.ones(len(design.code), bool))
        if unit.action in actions
    }
    few = [name for name, u in units.items() if not u.enough]
    if len(few) == len(units):
        raise ValueError(f"No action has {FEWEST} treated and {FEWEST} control cells in a context.")
    if few:
        logger.warning(
            "%d of %d conditions have fewer than %d treated or control cells, e.g. %s; they are left out.",
            len(few),
            len(units),
            FEWEST,
            " in ".join(map(str, few[0])),
        )
    return {name: unit for name, unit in units.items() if name not in few}


def _told(view: View, response: Response, cells: Any) -> Design | None:
    """What was done to the cells; None of data that do not say it, of which the user chooses untreated cells."""
    keys = response.keys
    if keys.target in view.columns:
        return design_of(view, response)
    if cells is None:
        raise ValueError(
            f"The data have no column obs[{keys.target!r}], which said in training what was done to each cell. Add it "
            f"({keys.controls[0]!r} for untreated cells), or say by cells= which cells are untreated: an action starts "
            "from untreated cells."
        )
    return None


def _known(index: Rows, design: Design | None, response: Response) -> Rows:
    """Those of the chosen cells that are known to be untreated."""
    if design is None:
        return index
    index = index[design.control[index]]
    if len(index) == 0:
        raise ValueError(
            f"No cell is known to be untreated; none of those chosen has one of {list(response.keys.controls)} in "
            f"obs[{response.keys.target!r}]."
        )
    return index


def _choose(view: View, cells: Any, untreated: Mask, response: Response) -> Rows:
    """Positions of the chosen cells without those that were treated, of which one line tells."""
    if cells is None:
        return np.flatnonzero(untreated)
    index = choose(view, "cells", cells)
    treated = ~untreated[index]
    said = f"whose obs[{response.keys.target!r}] is none of {list(response.keys.controls)}"
    if len(index) == 0:
        raise ValueError("No untreated cell is chosen: there is no cell that cells= holds for.")
    if treated.all():
        raise ValueError(
            f"No untreated cell is chosen: all {len(index)} of cells= were treated, {said}. An action starts from "
            "untreated cells; give some."
        )
    if treated.any():
        logger.info("%d of the %d chosen cells were treated (%s); they are left out.", treated.sum(), len(index), said)
    return index[~treated]
