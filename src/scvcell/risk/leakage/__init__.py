"""Has anything of the test cells reached a predictor, and what may be called unseen: one check, one file."""

from scvcell.risk.leakage._actions import actions, classes, contexts_of_actions
from scvcell.risk.leakage._audit import Audit, audit, case_of, look
from scvcell.risk.leakage._barcodes import barcodes
from scvcell.risk.leakage._base import CHECKS, Case, Finding
from scvcell.risk.leakage._copies import copies
from scvcell.risk.leakage._covariates import covariates
from scvcell.risk.leakage._derived import derived
from scvcell.risk.leakage._fitted import fitted, pretraining, split_of, stopping
from scvcell.risk.leakage._groups import groups, units
from scvcell.risk.leakage._likeness import contexts, targets
from scvcell.risk.leakage._scramble import scramble, with_noise
from scvcell.risk.leakage._words import WORDS

__all__ = [
    "CHECKS",
    "WORDS",
    "Audit",
    "Case",
    "Finding",
    "actions",
    "audit",
    "barcodes",
    "case_of",
    "classes",
    "contexts",
    "contexts_of_actions",
    "copies",
    "covariates",
    "derived",
    "fitted",
    "groups",
    "look",
    "pretraining",
    "scramble",
    "split_of",
    "stopping",
    "targets",
    "units",
    "with_noise",
]
