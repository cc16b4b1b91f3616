"""Genes and peaks that are near each other, against brute force, and positions that cannot be used."""

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import scvcell
from scvcell.pp._positions import near


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


def test_pairs_of_features_and_their_weights_by_position():
    genes = data()["rna"][:2].copy()
    genes.var["chrom"], genes.var["tss"] = "chr1", np.arange(40) * 1e6
    peaks = data(peaks=2)["atac"].copy()
    peaks.var["chrom"], peaks.var["start"], peaks.var["end"] = "1", [5_000, 2_000_000], [6_000, 2_000_500]
    gene, peak, weight = near(genes, peaks, "rna", "atac", 10_000, 5_000)
    assert (gene.tolist(), peak.tolist()) == ([0, 2], [0, 1])
    np.testing.assert_allclose(weight, [np.exp(-1), 1])
    peaks.var["chrom"] = "2"
    assert [len(part) for part in near(genes, peaks, "rna", "atac", 10_000, 5_000)] == [0, 0, 0]
