import numpy as np
import pytest

from scvcell import pl


@pytest.fixture
def informed(mdata):
    rng = np.random.default_rng(0)
    for name, shape in (("rna", 12), ("adt", 5)):
        bits = rng.gamma(shape, 1, mdata.n_obs)
        bits[np.asarray(mdata.obsmap[name]).ravel() == 0] = np.nan
        mdata.obs[f"csl_bits_{name}"] = bits
    return mdata


KINDS = ["rna alone", "rna beside adt", "adt alone", "adt beside rna"]


def by_kind(informed, name):
    """Values of a drawn kind."""
    bits = informed.obs[[f"csl_bits_{m}" for m in ("rna", "adt")]]
    rows = (bits.notna().sum(axis=1) == 1) == name.endswith("alone")
    return bits.loc[rows, f"csl_bits_{name.split()[0]}"].dropna()


def test_violins_show_quartiles_of_cells_with_one_and_with_both_assays(informed):
    ax = pl.modality_information(informed)
    assert [t.get_text() for t in ax.get_xticklabels()] == KINDS
    assert ax.get_ylabel() == "Information (bits per cell)"
    drawn = [c.get_segments()[0] for c in ax.collections if hasattr(c, "get_segments") and len(c.get_segments()) == 1]
    for place, name in enumerate(KINDS):
        low, high = by_kind(informed, name).quantile([0.25, 0.75])
        assert any(np.allclose(segment, [[place, low], [place, high]]) for segment in drawn)


def test_where_every_cell_has_both_assays_there_is_one_box_per_assay(informed):
    for name in ("rna", "adt"):
        informed.obs[f"csl_bits_{name}"] = 1.0 + np.arange(informed.n_obs)
    assert [t.get_text() for t in pl.modality_information(informed).get_xticklabels()] == ["rna", "adt"]


def test_boxes_by_group(informed):
    ax = pl.modality_information(informed, groupby="cell_type")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["type1", "type2", "type3"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == KINDS
    assert "quartiles" in ax.get_legend().get_title().get_text()
    assert len(ax.patches) == 12
    levels = [line.get_ydata()[0] for line in ax.get_lines() if len(set(line.get_ydata())) == 1]
    for name in KINDS:
        values = by_kind(informed, name)
        for value in values.groupby(informed.obs["cell_type"].reindex(values.index), observed=True).median():
            assert np.isclose(levels, value).any()


def test_groups_of_a_modality_and_assays(informed):
    ax = pl.modality_information(informed, groupby="modalities")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["rna", "adt", "rna + adt"]
    assert pl.modality_information(informed, groupby="rna:batch").get_xlabel() == "rna:batch"


def test_constant_and_absent_modalities_do_no_harm(informed):
    informed.obs["csl_bits_rna"] = 3.0
    informed.obs["csl_bits_adt"] = np.nan
    ax = pl.modality_information(informed)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["rna", "adt"]
    pl.modality_information(informed, groupby="cell_type")


def test_anndata_and_unchanged_input(informed):
    adata = informed["rna"].copy()
    adata.obs["csl_bits_rna"] = 1.0 + np.arange(adata.n_obs)
    before = adata.obs.copy()
    pl.modality_information(adata, groupby="cell_type")
    assert adata.obs.equals(before)


def test_errors_say_what_to_do(mdata, informed):
    informed.obs["csl_bits_rna"] = 1.0
    with pytest.raises(ValueError, match="No obs column 'type'"):
        pl.modality_information(informed, groupby="type")
    for name in ("rna", "adt"):
        del mdata.obs[f"csl_bits_{name}"]
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.modality_information"):
        pl.modality_information(mdata)
