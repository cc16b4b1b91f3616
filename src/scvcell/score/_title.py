"""Names of metrics as figures and tables show them."""

from __future__ import annotations

NAMES = {
    "foscttm": "FOSCTTM",
    "mixing": "Modality mixing",
    "label_transfer": "Label transfer",
    "overcorrection_canary": "Over-correction canary",
}


def metric_name(metric: str) -> str:
    """What readers call a metric of the report."""
    return NAMES.get(metric, metric[:1].upper() + metric[1:].replace("_", " "))
