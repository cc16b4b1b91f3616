"""M: measurement operators, one file per kind of assay."""

from scvcell.measure._atac import Atac
from scvcell.measure._base import MEASUREMENTS, Measurement, expected_part
from scvcell.measure._context import Context, Scale, Summary
from scvcell.measure._counts import Counts
from scvcell.measure._decoder import Decoder, LinkedDecoder
from scvcell.measure._endpoint import Endpoint, cox
from scvcell.measure._expected import expected_log1p
from scvcell.measure._kinetics import Kinetics
from scvcell.measure._nb import csr
from scvcell.measure._profile import Profile
from scvcell.measure._protein import Protein
from scvcell.measure._share import Shares
from scvcell.measure._show import show
from scvcell.measure._widen import Columns, Grown, widen

__all__ = [
    "MEASUREMENTS",
    "Atac",
    "Columns",
    "Context",
    "Counts",
    "Decoder",
    "Endpoint",
    "Grown",
    "Kinetics",
    "LinkedDecoder",
    "Measurement",
    "Profile",
    "Protein",
    "Scale",
    "Shares",
    "Summary",
    "cox",
    "csr",
    "expected_log1p",
    "expected_part",
    "show",
    "widen",
]
