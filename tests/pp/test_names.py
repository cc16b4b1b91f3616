"""Features of one name: ids, symbols, tags and what is not joined."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell.pp._names import same_name


def named():
    names = {"rna": ["CD3E", "Cd4", "MS4A1", "GAPDH"], "adt": ["CD4_TotalSeqB", "cd3e", "CD20", "IgG1"]}
    return md.MuData(
        {
            m: ad.AnnData(np.ones((2, 4), np.float32), pd.DataFrame(index=["a", "b"]), pd.DataFrame(index=n))
            for m, n in names.items()
        }
    )


def test_names_ignore_case_and_tags_and_take_a_table_of_synonyms():
    plain = scvcell.pp.link_features(named(), how="name").edges
    assert set(zip(plain.feature_a, plain.feature_b, strict=True)) == {("CD3E", "cd3e"), ("Cd4", "CD4_TotalSeqB")}
    synonyms = pd.DataFrame({"feature_a": ["MS4A1", "nobody"], "feature_b": ["CD20", "CD20"]})
    more = scvcell.pp.link_features(named(), how="name", table=synonyms).edges
    assert set(zip(more.feature_a, more.feature_b, strict=True)) == {
        ("CD3E", "cd3e"),
        ("Cd4", "CD4_TotalSeqB"),
        ("MS4A1", "CD20"),
    }


def by_name(rna, adt, **columns):
    """Edges by name between genes and proteins of these names; var columns of the genes."""
    names = {"rna": rna, "adt": adt}
    mdata = md.MuData(
        {m: ad.AnnData(np.ones((2, len(n)), np.float32), var=pd.DataFrame(index=n)) for m, n in names.items()}
    )
    for column, values in columns.items():
        mdata["rna"].var[column] = values
    edges = scvcell.pp.link_features(mdata, how="name", modalities=("rna", "adt")).edges
    return sorted(zip(edges.feature_a, edges.feature_b, strict=True))


CD3, CD4 = "ENSG00000198851", "ENSG00000010610"


CD3, CD4 = "ENSG00000198851", "ENSG00000010610"


@pytest.mark.parametrize("column", ["gene_symbols", "gene_name", "symbol", "feature_name", "gene_short_name"])
@pytest.mark.parametrize("version", ["", ".12"])
def test_symbols_of_ensembl_ids_are_found(column, version):
    ids = [CD3 + version, CD4 + version]
    assert by_name(ids, ["CD4", "cd3e"], **{column: ["CD3E", "CD4"]}) == sorted(zip(ids, ["cd3e", "CD4"], strict=True))


def test_ids_and_names_written_together():
    assert by_name([f"{CD3}.7|CD3E", "x"], ["CD3E", "y"]) == [(f"{CD3}.7|CD3E", "CD3E")]
    assert by_name([CD3 + ".7", "x"], [CD3, "y"]) == [(CD3 + ".7", CD3)]
    assert by_name(["CD3E", "CD4"], [CD4, CD3], gene_ids=[CD3, CD4]) == [("CD3E", CD3), ("CD4", CD4)]


def test_names_that_could_be_several_are_not_joined():
    assert by_name(["Cd4", "CD4x"], ["CD4", "b"]) == [("Cd4", "CD4")]
    assert by_name(["Cd4", "cD4", "a"], ["CD4", "A"]) == [("a", "A")]
    assert by_name(["CD4", "Cd4"], ["CD4", "b"]) == [("CD4", "CD4")]
    many = [f"chr1_{i}" for i in range(9)]
    assert by_name([*many, "a"], ["chr1_x", "a"]) == [("a", "a")]
    assert by_name(["CD4"], ["CD4_1", "CD4_2"]) == [("CD4", "CD4_1"), ("CD4", "CD4_2")]


def test_prefixes_of_genomes_and_underscores_within_names_are_no_tags():
    human, mouse = [f"GRCh38_GENE{i}" for i in range(9)], [f"mm10___Gene{i}" for i in range(9)]
    both = [*human, *mouse]
    assert by_name(both, both[::4]) == [(name, name) for name in both[::4]]
    assert by_name(human, ["GENE3", "GENE10"]) == [("GRCh38_GENE3", "GENE3")]
    assert by_name(["a_one", "a_two", "a"], ["a_three", "a_two"]) == [("a_two", "a_two")]
    assert by_name(["CD3E"], ["CD3E-A0034", "CD3E_TotalSeqB", "CD3E_prot"]) == [
        ("CD3E", f"CD3E{tag}") for tag in ("-A0034", "_TotalSeqB", "_prot")
    ]


def test_errors_by_name_lead_somewhere():
    with pytest.raises(ValueError, match=r"Ensembl ids, and var has no column of symbols.*Give table="):
        by_name([CD3, CD4], ["CD3E", "CD4"])


def test_a_table_needs_its_columns_and_says_what_it_does_not_know(caplog):
    frames = [pd.DataFrame(index=["g0", "g1"]), pd.DataFrame(index=["p0"])]
    table = pd.DataFrame({"feature_a": ["g1", "g9"], "feature_b": ["p0", "p0"]})
    a, b = same_name(*frames, table)
    assert (a.tolist(), b.tolist()) == ([1], [0])
    assert "1 of 2 rows of table= name unknown features" in caplog.text
    with pytest.raises(ValueError, match=r"\['feature_b'\] are missing"):
        same_name(*frames, table[["feature_a"]])
