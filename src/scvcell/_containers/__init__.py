"""AnnData, MuData or SpatialData in, one `View`; results out."""

from scvcell._containers._annotation import frame
from scvcell._containers._blocks import blocks, check_store, row_blocks, store_blocks, write_arrays, write_blocks
from scvcell._containers._corpus import Corpus, MuCorpus, StoredNames
from scvcell._containers._files import Paths, check_columns, find, is_paths, open_parts
from scvcell._containers._gather import gather, unique_names
from scvcell._containers._graph import graph
from scvcell._containers._matrix import Matrix, count_layers, fault
from scvcell._containers._membership import Membership
from scvcell._containers._open import check_dask, join_files, open_corpus
from scvcell._containers._read import SINGLE, SPLIT, Tables, feature_types, fitted_tables, table_names, view, view_units
from scvcell._containers._sdata import Place, circles, read_spatial
from scvcell._containers._select import choose, choose_features, is_container
from scvcell._containers._space import COORDINATES, Space
from scvcell._containers._spool import Spool
from scvcell._containers._stack import stack_of
from scvcell._containers._units import units_of
from scvcell._containers._view import Container, View

__all__ = [
    "COORDINATES",
    "SINGLE",
    "SPLIT",
    "Container",
    "Corpus",
    "Matrix",
    "Membership",
    "MuCorpus",
    "Paths",
    "Place",
    "Space",
    "Spool",
    "StoredNames",
    "Tables",
    "View",
    "blocks",
    "check_columns",
    "check_dask",
    "check_store",
    "choose",
    "choose_features",
    "circles",
    "count_layers",
    "fault",
    "feature_types",
    "find",
    "fitted_tables",
    "frame",
    "gather",
    "graph",
    "is_container",
    "is_paths",
    "join_files",
    "open_corpus",
    "open_parts",
    "read_spatial",
    "row_blocks",
    "stack_of",
    "store_blocks",
    "table_names",
    "unique_names",
    "units_of",
    "view",
    "view_units",
    "write_arrays",
    "write_blocks",
]
