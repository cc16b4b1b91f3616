"""AnnData, MuData or SpatialData in, one `View`; results out."""

from scvcell._containers._gather import gather, unique_names
from scvcell._containers._graph import graph
from scvcell._containers._matrix import Matrix, fault
from scvcell._containers._membership import Membership
from scvcell._containers._read import SINGLE, SPLIT, Tables, feature_types, fitted_tables, table_names, view, view_units
from scvcell._containers._sdata import Place, circles, read_spatial
from scvcell._containers._select import choose, choose_features, is_container
from scvcell._containers._space import COORDINATES, Space
from scvcell._containers._stack import Stack, StoredRows, open_root
from scvcell._containers._units import units_of
from scvcell._containers._view import Container, View, frame

__all__ = [
    "COORDINATES",
    "SINGLE",
    "SPLIT",
    "Container",
    "Matrix",
    "Membership",
    "Place",
    "Space",
    "Stack",
    "StoredRows",
    "Tables",
    "View",
    "choose",
    "choose_features",
    "circles",
    "fault",
    "feature_types",
    "fitted_tables",
    "frame",
    "gather",
    "graph",
    "is_container",
    "open_root",
    "read_spatial",
    "table_names",
    "unique_names",
    "units_of",
    "view",
    "view_units",
]
