"""FlashDeconv 0.2 with its defaults, given the places of no spot: each is deconvolved by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.clock import Stopwatch
from benchmarks.methods.nnls import rates
from benchmarks.task import Output

if TYPE_CHECKING:
    from benchmarks.task import Task

TABLES = ("deconvolution",)
