"""Verbs: resolve the container, call the model, write keys."""

from scvcell._calm import calm_down
from scvcell.tl._ablation import prior_ablation
from scvcell.tl._alignment import alignment_report
from scvcell.tl._cycle import cycle_scores
from scvcell.tl._dose import dose_response
from scvcell.tl._embed import embed
from scvcell.tl._fate import fate
from scvcell.tl._fit import fit
from scvcell.tl._forecast import forecast
from scvcell.tl._impact import effect_correlation, impact
from scvcell.tl._impute_space import impute_space
from scvcell.tl._information import modality_information
from scvcell.tl._lift import lift
from scvcell.tl._links import feature_links
from scvcell.tl._map import map_to_space
from scvcell.tl._match import match_counterfactual
from scvcell.tl._niche import niche
from scvcell.tl._order import order_effect
from scvcell.tl._perturb import effects, perturb
from scvcell.tl._potency import potency
from scvcell.tl._predict_endpoint import predict_endpoint
from scvcell.tl._project import project
from scvcell.tl._rank import rank_actions
from scvcell.tl._response_score import response_score
from scvcell.tl._sentences import cell_sentences, expression_from_sentences
from scvcell.tl._synergy import synergy
from scvcell.tl._transfer import transfer_labels
from scvcell.tl._translate import translate
from scvcell.tl._velocity import velocity

__all__ = [
    "alignment_report",
    "cell_sentences",
    "cycle_scores",
    "dose_response",
    "effect_correlation",
    "effects",
    "embed",
    "expression_from_sentences",
    "fate",
    "feature_links",
    "fit",
    "forecast",
    "impact",
    "impute_space",
    "lift",
    "map_to_space",
    "match_counterfactual",
    "modality_information",
    "niche",
    "order_effect",
    "perturb",
    "potency",
    "predict_endpoint",
    "prior_ablation",
    "project",
    "rank_actions",
    "response_score",
    "synergy",
    "transfer_labels",
    "translate",
    "velocity",
]

# Whoever calls a verb, it works on one thread and keeps to itself what other libraries say.
calm_down(globals())
