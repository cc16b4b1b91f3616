"""Classes of targets: a mapping, a column, several of one target, scaffolds of structures."""

import sys
from types import ModuleType

import pandas as pd
import pytest

from scvcell.pp import split
from scvcell.pp.splits._classes import is_smiles, murcko

OF = {"A": "kinase", "B": "kinase", "C": "channel", "D": "receptor", "E": ["receptor", "channel"]}


def drugs(screen, cells):
    return set(screen.obs.loc[cells, "drug"])


@pytest.mark.parametrize("given", [OF, pd.Series(OF)], ids=["mapping", "series"])
def test_no_target_of_the_class_is_seen(screen, keys, given):
    found = split(screen, "mechanism", perturbation=keys, classes=given, test="kinase")
    assert drugs(screen, found.test) == {"A", "B", "A+B", "B+C", "A+D"}
    assert found.how["classes"]["E"] == ["receptor", "channel"]
    assert drugs(screen, found.outside.index) == {"B+F"}
    assert set(found.outside) == {"no mechanism is known of its target"}


def test_a_target_in_several_pathways(screen, keys):
    found = split(screen, "pathway", perturbation=keys, classes=OF, test="channel")
    assert drugs(screen, found.test) == {"C", "E", "B+C", "D+E", "C+E"}
    assert found.reason == "new pathway"


def test_a_column(screen, keys):
    one = {**OF, "E": "receptor", "control": None}
    screen.obs["moa"] = screen.obs["drug"].map(one)
    by_column = split(screen, "mechanism", perturbation=keys, classes="moa", test="receptor")
    by_mapping = split(screen, "mechanism", perturbation=keys, classes=one, test="receptor")
    assert by_column == by_mapping
    screen.obs.loc[screen.obs_names[screen.obs["drug"] == "D"][0], "moa"] = "other"
    with pytest.raises(ValueError, match=r"obs\['moa'\] has several classes of 'D': other, receptor"):
        split(screen, "mechanism", perturbation=keys, classes="moa")


def test_errors(screen, keys):
    with pytest.raises(ValueError, match=r"by='mechanism' needs classes="):
        split(screen, "mechanism", perturbation=keys)
    with pytest.raises(
        TypeError, match=r"classes= takes an obs column or a mapping from target to mechanism, not list"
    ):
        split(screen, "mechanism", perturbation=keys, classes=["A"])
    with pytest.raises(
        ValueError, match=r"classes= names no mechanism of any target. Targets are called 'A', 'B', 'C'"
    ):
        split(screen, "mechanism", perturbation=keys, classes={"a": "kinase"})


SMILES = {"A": "CC(=O)Oc1ccccc1C(=O)O", "B": "c1ccccc1C", "C": "C1CCNCC1", "D": "CCO(C)", "E": "C1CCNCC1C"}


def test_structures_need_rdkit(screen, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ImportError, match="RDKit, which makes scaffolds of them, is not installed: pip install rdkit"):
        split(screen, "scaffold", perturbation=keys, classes=SMILES)
    ring = {"A": "benzene", "B": "benzene", "C": "piperidine", "D": "none", "E": "piperidine"}
    found = split(screen, "scaffold", perturbation=keys, classes=ring, test="benzene")
    assert drugs(screen, found.test) == {"A", "B", "A+B", "B+C", "A+D"}


def test_structures_become_scaffolds(screen, keys, monkeypatch):
    """RDKit's place is taken by a table, as it is not installed here."""
    rings = {SMILES["A"]: "c1ccccc1", SMILES["B"]: "c1ccccc1", SMILES["C"]: "C1CCNCC1", SMILES["E"]: "C1CCNCC1"}
    chem, scaffolds = ModuleType("rdkit.Chem"), ModuleType("rdkit.Chem.Scaffolds")
    chem.MolFromSmiles = lambda smiles: None if smiles == "C1(" else smiles
    scaffolds.MurckoScaffold = ModuleType("MurckoScaffold")
    scaffolds.MurckoScaffold.MurckoScaffoldSmiles = lambda mol: rings.get(mol, "")
    whole = ModuleType("rdkit")
    whole.Chem = chem
    for name, module in (("rdkit", whole), ("rdkit.Chem", chem), ("rdkit.Chem.Scaffolds", scaffolds)):
        monkeypatch.setitem(sys.modules, name, module)
    found = split(screen, "scaffold", perturbation=keys, classes=SMILES, test="C1CCNCC1")
    assert drugs(screen, found.test) == {"C", "E", "B+C", "D+E", "C+E"}
    assert murcko("CCO(C)") == "CCO(C)", "without rings a structure is its own"
    with pytest.raises(ValueError, match=r"'C1\(', which is no structure"):
        murcko("C1(")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c1ccccc1", True),
        ("CC(=O)O", True),
        ("benzene", False),
        ("MEK", False),
        ("A-1120", False),
        ("CC(=O)N[C@@H]1N=C |&1:4,r|", True),
        ("dopamine receptor agonist", False),
        ("F/C=C/F", True),
    ],
)
def test_what_is_a_structure(text, found):
    assert is_smiles(text) is found
