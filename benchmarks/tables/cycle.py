"""Table *cycle*: do spots return genes that they were not lifted by?

The spots of table *deconvolution*: each section of *starmap* lifted by the other two, each half of *xenium* by cells of
the other one. A fifth of the genes at a time is held out when spots are lifted; factors of genes come from other blocks
of the section. *skill* is the share of the deviance of the best of three nulls that is gone, with a 90 % interval over
tiles of the section. All deviances are those of a negative binomial of one inverse dispersion (5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.tables import deconvolution

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.task import Output, Task

CASES = ("starmap1", "starmap2", "starmap3", "xenium1", "xenium2", "visium")
FILES = deconvolution.FILES
SEEDS = (0, 1, 2)
METHODS = ("scvcell_cycle",)
REFERENCE = "scvcell_cycle"
NULLS = {"permuted": "permuted", "mean profile": "mean_profile", "4 neighbours": "neighbours"}
COLUMNS = {
    "deviance": "deviance",
    "permuted": "of other spots",
    "mean_profile": "of the mean profile",
    "neighbours": "of 4 neighbours",
    "skill": "skill",
    "lower": "from",
    "upper": "to",
    "pearson": "Pearson",
    "pearson_neighbours": "of 4 neighbours",
    "trusted": "trusted",
    "back": "L o P: RMSE",
    "back_null": "of the mean composition",
}


def task(data: Path, case: str, epochs: int | None) -> tuple[Task, dict[str, Any]]:
    """Spots and reference of *deconvolution*; of *visium* those of its first block."""
    return deconvolution.task(data, case, epochs)


def score(task: Task, truth: dict[str, Any], out: Output) -> dict[str, Any]:
    """What `scvcell.tl.cycle_scores` says."""
    rows = {(row["cycle"], row["score"], row["null"]): row for row in out.notes["scores"]}
    ours = {null: rows["P o L", "deviance", null] for null in NULLS}
    worst = min(ours.values(), key=lambda row: row["lower"])
    back = rows["L o P", "rmse", "mean composition"]
    return {
        "deviance": worst["value"],
        **{NULLS[null]: row["null_value"] for null, row in ours.items()},
        "skill": worst["gain"],
        "lower": worst["lower"],
        "upper": worst["upper"],
        "pearson": rows["P o L", "pearson", "4 neighbours"]["value"],
        "pearson_neighbours": rows["P o L", "pearson", "4 neighbours"]["null_value"],
        "trusted": float(worst["trusted"]),
        "back": back["value"],
        "back_null": back["null_value"],
    }
