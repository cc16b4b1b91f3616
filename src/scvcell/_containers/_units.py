"""Units that a user names, such as donors, niches or spots, as the membership of cells in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scvcell._containers._membership import Membership
from scvcell._containers._space import Space
from scvcell._labels import labels, tell_missing

if TYPE_CHECKING:
    from scvcell._containers._sdata import Place
    from scvcell._containers._view import View


def units_of(seen: View, by: Any, section_key: str | None) -> tuple[Membership, Place | None]:
    """Which cells are in which unit, and what units a SpatialData has of this kind.

    Parameters
    ----------
    seen
        The cells.
    by
        Column of obs; number of nearest neighbours, the cell itself among them; shapes of a SpatialData; or a
        membership whose fine units are the cells.
    section_key
        Column of the section, which neighbours share.

    Raises
    ------
    KeyError
        If obs lacks the column.
    TypeError, ValueError
        If it is none of these, or a membership of other cells.
    """
    if isinstance(by, Membership):
        if not by.fine.equals(seen.obs_names):
            raise ValueError(
                f"The membership is of {len(by.fine)} units that are not the {seen.n_obs} cells of the data, in their "
                "order."
            )
        return by, None
    if isinstance(by, bool) or not isinstance(by, str | int | np.integer):
        raise TypeError(f"by= takes a column of obs, a number, a Membership or data of spots, not {by!r}.")
    if isinstance(by, str) and by not in seen.columns and seen.place is not None and by in seen.place.sdata.shapes:
        return seen.inside(by)
    if isinstance(by, str):
        column = seen.column(by)
        tell_missing(labels(column).isna().to_numpy(), [by])
        return Membership.groups(column, by), None
    return Space.of(seen, section_key).nearest(int(by)), seen.place
