"""z: how a state is read off what was measured."""

from scvcell.state._batch import Batch, Observed, Share
from scvcell.state._encoder import Encoder
from scvcell.state._everywhere import Everywhere, gather
from scvcell.state._front import FrontEnd
from scvcell.state._inference import Draw, Inference
from scvcell.state._layout import Layout, Meeting, Positions, Sight, layout, single_views
from scvcell.state._posterior import Posterior, fuse

__all__ = [
    "Batch",
    "Draw",
    "Encoder",
    "Everywhere",
    "FrontEnd",
    "Inference",
    "Layout",
    "Meeting",
    "Observed",
    "Positions",
    "Posterior",
    "Share",
    "Sight",
    "fuse",
    "gather",
    "layout",
    "single_views",
]
