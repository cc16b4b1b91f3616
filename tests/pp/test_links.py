"""Edges from positions and names, against brute force, and what is said of positions that cannot be used."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import scvcell


def data(genes=40, peaks=300, seed=0, prefix=("chr", "chr")):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 3_000_000, peaks)
    var = {
        "rna": pd.DataFrame(
            {
                "chrom": [f"{prefix[0]}{c}" for c in rng.choice(["1", "2", "X"], genes)],
                "tss": rng.integers(0, 3_000_000, genes).astype(float),
            },
            index=[f"g{i}" for i in range(genes)],
        ),
        "atac": pd.DataFrame(
            {
                "chrom": [f"{prefix[1]}{c}" for c in rng.choice(["1", "2", "3"], peaks)],
                "start": start,
                "end": start + rng.integers(200, 3000, peaks),
            },
            index=[f"p{i}" for i in range(peaks)],
        ),
    }
    return md.MuData(
        {m: ad.AnnData(np.ones((2, len(v)), np.float32), pd.DataFrame(index=["a", "b"]), v) for m, v in var.items()}
    )


def brute(mdata, window=150_000, decay=60_000):
    out = {}
    for g, gene in mdata["rna"].var.iterrows():
        for p, peak in mdata["atac"].var.iterrows():
            gap = max(peak.start - gene.tss, gene.tss - peak.end, 0)
            if str(gene.chrom).removeprefix("chr") == str(peak.chrom).removeprefix("chr") and gap <= window:
                out[g, p] = np.exp(-gap / decay)
    return out


@pytest.mark.parametrize("prefix", [("chr", "chr"), ("", "chr"), ("", "")])
def test_distance_is_brute_force(prefix):
    mdata = data(prefix=prefix)
    edges = scvcell.pp.link_features(mdata, window=100_000, decay=30_000).edges
    found = {(a, b): w for a, b, w in zip(edges.feature_a, edges.feature_b, edges.weight, strict=True)}
    expected = brute(mdata, 100_000, 30_000)
    assert found.keys() == expected.keys() != set()
    assert all(found[k] == pytest.approx(expected[k]) for k in found)


def test_start_of_a_gene_follows_its_strand_and_modalities_may_stand_in_any_order():
    mdata = data()
    usual = scvcell.pp.link_features(mdata)
    var = mdata["rna"].var
    tss = var.pop("tss")
    var["strand"] = np.where(np.arange(len(var)) % 2, "-", "+")
    var["start"] = np.where(var.strand == "+", tss, tss - 5000)
    var["end"] = np.where(var.strand == "+", tss + 5000, tss)
    by_strand = scvcell.pp.link_features(mdata, modalities=("rna", "atac"))
    pd.testing.assert_frame_equal(usual.edges, by_strand.edges)


def test_genes_without_position_get_no_edge():
    mdata = data()
    mdata["rna"].var.loc["g0", "tss"] = np.nan
    mdata["rna"].var.loc["g1", "chrom"] = None
    edges = scvcell.pp.link_features(mdata).edges
    assert not edges.feature_a.isin(["g0", "g1"]).any()


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


STRANDS = [
    {"+": 1, "-": -1},
    {"+": 1.0, "-": -1.0},
    {"+": "1", "-": "-1"},
    {"+": "+1", "-": "-1.0"},
    {"+": " + ", "-": "- "},
    {"+": b"+".decode(), "-": "\u2212"},
]


def stranded():
    mdata = data()
    var = mdata["rna"].var
    tss = var.pop("tss")
    var["strand"] = np.where(np.arange(len(var)) % 2, "-", "+")
    var["start"] = np.where(var.strand == "+", tss, tss - 50_000)
    var["end"] = np.where(var.strand == "+", tss + 50_000, tss)
    return mdata


@pytest.mark.parametrize("written", STRANDS)
@pytest.mark.parametrize("kind", [object, "category", "string"])
def test_every_way_of_writing_a_strand(written, kind):
    mdata = stranded()
    usual = scvcell.pp.link_features(mdata).edges
    var = mdata["rna"].var
    var["strand"] = var["strand"].map(written).astype(kind if kind != "string" else object)
    pd.testing.assert_frame_equal(scvcell.pp.link_features(mdata).edges, usual)


def test_an_unknown_strand_is_no_plus_and_is_counted(caplog):
    mdata = stranded()
    usual = scvcell.pp.link_features(mdata).edges
    var = mdata["rna"].var
    var.loc[["g1", "g3"], "strand"] = [".", None]
    found = scvcell.pp.link_features(mdata).edges
    pd.testing.assert_frame_equal(found, usual[~usual.feature_a.isin(["g1", "g3"])].reset_index(drop=True))
    assert "2 of 40 genes of 'rna' have no strand that is known, e.g. 'g1' (.)" in caplog.text


@pytest.mark.parametrize("written", ["M", "MT", "chrM", "chrMT", "Mt"])
def test_chromosomes_are_one_however_they_are_written(written):
    mdata = data()
    for name, style in (("rna", "chrM"), ("atac", written)):
        var = mdata[name].var
        var["chrom"] = var["chrom"].str.replace("chr", "" if "chr" not in style else "chr")
        var.loc[var["chrom"].str.endswith("2"), "chrom"] = style
    usual = scvcell.pp.link_features(data()).edges
    pd.testing.assert_frame_equal(scvcell.pp.link_features(mdata).edges, usual)


def test_chromosomes_as_numbers():
    mdata = data()
    for name in ("rna", "atac"):
        keep = ~mdata[name].var["chrom"].str.endswith("X")
        mdata.mod[name] = mdata[name][:, keep].copy()
    usual = scvcell.pp.link_features(mdata).edges
    peaks = mdata["atac"].var
    peaks["chrom"] = peaks["chrom"].str.removeprefix("chr").astype(float)
    pd.testing.assert_frame_equal(scvcell.pp.link_features(mdata).edges, usual)


def test_chromosomes_without_a_partner_are_said(caplog):
    scvcell.pp.link_features(data())
    assert "features of 'rna' are on chromosomes that 'atac' has none of: x. They get no edge." in caplog.text


def test_errors_by_name_lead_somewhere():
    with pytest.raises(ValueError, match=r"Ensembl ids, and var has no column of symbols.*Give table="):
        by_name([CD3, CD4], ["CD3E", "CD4"])
    with pytest.raises(ValueError, match=r"\['rna'\] only. Give a MuData of both.*split_modalities"):
        scvcell.pp.link_features(named()["rna"], how="name")


def test_bad_requests_are_refused():
    mdata = data()
    with pytest.raises(ValueError, match=r"'distnace'. Did you mean 'distance'"):
        scvcell.pp.link_features(mdata, how="distnace")
    with pytest.raises(ValueError, match="needs table="):
        scvcell.pp.link_features(mdata, how="table")
    with pytest.raises(ValueError, match="no modality 'adt'"):
        scvcell.pp.link_features(mdata, modalities=("rna", "adt"))
    with pytest.raises(ValueError, match="two modalities"):
        scvcell.pp.link_features(mdata, modalities=("rna",))
    with pytest.raises(ValueError, match="by name"):
        scvcell.pp.link_features(mdata, how="name")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda m: m["rna"].var.pop("tss"), KeyError, "no var column 'start'"),
        (lambda m: m["atac"].var.pop("end"), KeyError, "no var column 'end'"),
        (lambda m: m["atac"].var.__setitem__("end", 0), ValueError, "end before they start"),
        (lambda m: m["rna"].var.__setitem__("chrom", ["1", "chr1"] * 20), ValueError, "mixes chromosome names"),
        (
            lambda m: (m["rna"].var.__setitem__("genome", "mm10"), m["atac"].var.__setitem__("genome", "hg38")),
            ValueError,
            "different genomes",
        ),
    ],
)
def test_unusable_positions_are_refused(spoil, error, message):
    mdata = data()
    spoil(mdata)
    with pytest.raises(error, match=message):
        scvcell.pp.link_features(mdata)
