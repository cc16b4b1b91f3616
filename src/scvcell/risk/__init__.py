"""R, eq. 5: where a predictor may be trusted. Splits, questions, axes of stress tests, simple predictors, scores."""

from scvcell._stats import Conformal, Mondrian, cca, conformal_quantile
from scvcell.risk import axes, baselines, leakage
from scvcell.risk._adapters import LinearMatch, ModelPredictor, Translator
from scvcell.risk._ask import ask
from scvcell.risk._calibration import calibration
from scvcell.risk._evaluate import evaluate
from scvcell.risk._export import save_cell_eval, score_cell_eval
from scvcell.risk._files import FilesPredictor, save_questions
from scvcell.risk._groups import gaps
from scvcell.risk._plan import RiskConfig
from scvcell.risk._predictor import (
    QUANTILES,
    Effect,
    Effects,
    Place,
    Prediction,
    Predictor,
    Question,
    States,
    Translate,
    Values,
)
from scvcell.risk._report import RiskReport
from scvcell.risk._scvi import ScviPredictor
from scvcell.risk._split import Split, hide_pairing, hold_out, hold_out_actions, hold_out_each, hold_out_new
from scvcell.risk._unpair import Unpaired, unpair
from scvcell.risk.axes import AXES, Axis, StressTest
from scvcell.risk.baselines import EffectBaseline
from scvcell.risk.leakage import Audit, audit, scramble
from scvcell.risk.readouts import READOUTS, Activity, Endpoint, Labels, Neighbourhood, Readout
from scvcell.score import VOTES, correlation, coverage, foscttm, match_recall, mixing, trusted, votes

__all__ = [
    "AXES",
    "QUANTILES",
    "READOUTS",
    "VOTES",
    "Activity",
    "Audit",
    "Axis",
    "Conformal",
    "Effect",
    "EffectBaseline",
    "Effects",
    "Endpoint",
    "FilesPredictor",
    "Labels",
    "LinearMatch",
    "ModelPredictor",
    "Mondrian",
    "Neighbourhood",
    "Place",
    "Prediction",
    "Predictor",
    "Question",
    "Readout",
    "RiskConfig",
    "RiskReport",
    "ScviPredictor",
    "Split",
    "States",
    "StressTest",
    "Translate",
    "Translator",
    "Unpaired",
    "Values",
    "ask",
    "audit",
    "axes",
    "baselines",
    "calibration",
    "cca",
    "conformal_quantile",
    "correlation",
    "coverage",
    "evaluate",
    "foscttm",
    "gaps",
    "hide_pairing",
    "hold_out",
    "hold_out_actions",
    "hold_out_each",
    "hold_out_new",
    "leakage",
    "match_recall",
    "mixing",
    "save_cell_eval",
    "save_questions",
    "score_cell_eval",
    "scramble",
    "trusted",
    "unpair",
    "votes",
]
