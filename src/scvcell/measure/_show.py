"""The table of registered measurement operators."""

from __future__ import annotations

import inspect

import pandas as pd

from scvcell.measure._base import MEASUREMENTS


def show() -> pd.DataFrame:
    """Table of every registered measurement operator, the package's own and third parties'.

    Returns
    -------
    One row per operator: recognised modality names, scale, equation, options with defaults, reference, module.
    """
    rows = []
    for name in MEASUREMENTS:
        cls = MEASUREMENTS[name]
        parameters = list(inspect.signature(cls).parameters.values())[2:]
        rows.append(
            {
                "operator": name,
                "recognised as": ", ".join(MEASUREMENTS.aliases(name)),
                "scale": str(cls.scale),
                "equation": cls.equation,
                "options": ", ".join(f"{p.name}={p.default!r}" for p in parameters),
                "reference": cls.reference,
                "defined in": cls.__module__,
            }
        )
    return pd.DataFrame(rows).set_index("operator")
