"""Splits: what is new about the cells that are asked about. One family of splitters is one file."""

from scvcell.pp.splits._actions import ActionSplitter
from scvcell.pp.splits._base import Split
from scvcell.pp.splits._block import Block
from scvcell.pp.splits._cell import Cell
from scvcell.pp.splits._choose import Chosen
from scvcell.pp.splits._classes import Mechanism, Pathway, Scaffold
from scvcell.pp.splits._combination import AllSeen, NoneSeen, SomeSeen, WholeAction
from scvcell.pp.splits._context import Context, DoubleCold, Pair
from scvcell.pp.splits._edge import DoseBetween, Earlier, HigherDose, Later, LowerDose, TimeBetween
from scvcell.pp.splits._group import Group
from scvcell.pp.splits._split import build, split
from scvcell.pp.splits._splitter import SPLITTERS, Asked, Items, Left, Splitter
from scvcell.pp.splits._target import Target

__all__ = [
    "SPLITTERS",
    "ActionSplitter",
    "AllSeen",
    "Asked",
    "Block",
    "Cell",
    "Chosen",
    "Context",
    "DoseBetween",
    "DoubleCold",
    "Earlier",
    "Group",
    "HigherDose",
    "Items",
    "Later",
    "Left",
    "LowerDose",
    "Mechanism",
    "NoneSeen",
    "Pair",
    "Pathway",
    "Scaffold",
    "SomeSeen",
    "Split",
    "Splitter",
    "Target",
    "TimeBetween",
    "WholeAction",
    "build",
    "split",
]
