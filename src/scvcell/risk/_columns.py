"""Columns of the tables of a report."""

from __future__ import annotations

TEST = ["axis", "test", "regime", "severity", "measure", "unit", "predictor", "readout", "metric", "better"]
COLUMNS: dict[str, list[str]] = {
    "rows": [*TEST, "value", "n", "seed", "note"],
    "summary": [
        *("axis", "readout", "metric", "better", "predictor", "value", "lower", "upper", "baseline", "replicate"),
        *("scaled", "scaled_lower", "scaled_upper", "informative", "n", "note"),
    ],
    "total": ["predictor", "risk", "lower", "upper", "best_share", "note"],
    "curves": ["axis", "readout", "metric", "predictor", "severity", "value", "lower", "upper", "scaled", "n"],
    "breakdown": ["axis", "readout", "metric", "predictor", "severity", "measure", "note"],
    "calibration": [
        *(
            "axis",
            "regime",
            "readout",
            "predictor",
            "of",
            "level",
            "coverage",
            "lower",
            "upper",
            "width",
            "crps",
            "pit",
            "n",
        ),
        "flag",
    ],
    "groups": [
        *("column", "group", "axis", "readout", "metric", "predictor", "value", "gap", "lower", "upper", "n", "flag"),
    ],
    "leakage": ["predictor", "check", "value", "limit", "verdict", "says"],
}
"""Columns of each table of a report."""
