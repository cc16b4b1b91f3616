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


def test_violins_show_quartiles_of_the_cells_that_have_the_assay(informed):
    ax = pl.modality_information(informed)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["rna", "adt"]
    assert ax.get_ylabel() == "Information (bits per cell)"
    drawn = [c.get_segments()[0] for c in ax.collections if hasattr(c, "get_segments") and len(c.get_segments()) == 1]
    for place, name in enumerate(("rna", "adt")):
        low, high = informed.obs[f"csl_bits_{name}"].quantile([0.25, 0.75])
        assert any(np.allclose(segment, [[place, low], [place, high]]) for segment in drawn)


def test_boxes_by_group(informed):
    ax = pl.modality_information(informed, groupby="cell_type")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["type1", "type2", "type3"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["rna", "adt"]
    assert len(ax.patches) == 6
    medians = informed.obs.groupby("cell_type", observed=True)["csl_bits_adt"].median()
    levels = [line.get_ydata()[0] for line in ax.get_lines() if len(set(line.get_ydata())) == 1]
    for value in medians:
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
