"""What the cells of a spot, niche or section are."""

<<<<<<< HEAD
from scvcell.tissue._composition import Composition, Reference, lift, skill
from scvcell.tissue._impute import Imputed, impute
=======
from scvcell.tissue._blocks import blocks
from scvcell.tissue._composition import Composition, Reference, lift
from scvcell.tissue._cycle import L_OF_P, P_OF_L, Scene, cycle_scores, summary
from scvcell.tissue._kernel import KernelFit, fit_kernel, pitch
>>>>>>> main
from scvcell.tissue._pool import annotation, constant, encode, observed, pooled
from scvcell.tissue._states import states

__all__ = [
    "L_OF_P",
    "P_OF_L",
    "Composition",
<<<<<<< HEAD
    "Imputed",
=======
    "KernelFit",
>>>>>>> main
    "Reference",
    "Scene",
    "annotation",
    "blocks",
    "constant",
    "cycle_scores",
    "encode",
<<<<<<< HEAD
    "impute",
=======
    "fit_kernel",
>>>>>>> main
    "lift",
    "observed",
    "pitch",
    "pooled",
    "states",
    "summary",
]
