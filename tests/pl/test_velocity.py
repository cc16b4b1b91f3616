import numpy as np
import pytest

from scvcell import pl


@pytest.fixture
def moving(mdata):
    """Cells on a circle, which go round against the clock."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, mdata.n_obs)
    mdata.obsm["X_csl"] = np.stack([np.cos(angle), np.sin(angle)], 1)
    mdata.obsm["velocity_csl"] = np.stack([-np.sin(angle), np.cos(angle)], 1)
    return mdata


def test_arrows_go_where_cells_go(moving):
    ax = pl.velocity(moving, kind="arrows", color="cell_type")
    (arrows,) = [c for c in ax.collections if hasattr(c, "U")]
    u, v = np.ma.array(arrows.U, mask=arrows.Umask), np.ma.array(arrows.V, mask=arrows.Umask)
    x, y = arrows.XY.T
    ahead = (x * v - y * u) / np.hypot(x, y) / np.hypot(u, v)
    assert 30 < ahead.count() < len(ahead)
    assert ahead.mean() > 0.9


def test_untrusted_cells_have_no_arrows(moving):
    right = moving.obsm["X_csl"][:, 0] > 0
    moving.obs["velocity_trusted"] = right
    ax = pl.velocity(moving, kind="arrows")
    (arrows,) = [c for c in ax.collections if hasattr(c, "U")]
    x = arrows.XY[~np.asarray(arrows.Umask), 0]
    assert len(x)
    moving.obs["velocity_trusted"] = True
    (more,) = [c for c in pl.velocity(moving, kind="arrows").collections if hasattr(c, "U")]
    assert 0.2 < len(x) / (~np.asarray(more.Umask)).sum() < 0.8
    moving.obs["velocity_trusted"] = False
    (none,) = [c for c in pl.velocity(moving, kind="arrows").collections if hasattr(c, "U")]
    assert np.asarray(none.Umask).all()


def test_streams_on_given_axes(moving):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    before = len(ax.collections)
    assert pl.velocity(moving, ax=ax) is ax
    assert len(ax.collections) > before + 1


def test_columns_of_a_modality_as_in_tl_and_any_basis(moving):
    del moving.obs["cell_type"]
    moving.obsm["X_other"] = moving.obsm["X_csl"][:, ::-1] * 3
    for name in ("cell_type", "rna:cell_type", moving["rna"].var_names[0]):
        ax = pl.velocity(moving, color=name, basis="other", kind="arrows")
        assert ax.get_title() == name
        assert (ax.get_xlabel(), len(ax.collections[-1].XY) > 0) == ("other 1", True)
    assert "X_umap" not in moving.obsm


def test_cells_without_a_velocity_are_drawn_but_lead_nowhere(moving):
    left = moving.obsm["X_csl"][:, 0] < 0
    moving.obsm["velocity_csl"][left] = np.nan
    ax = pl.velocity(moving, kind="arrows")
    assert len(ax.collections[0].get_offsets()) == 150
    arrows = ax.collections[-1]
    assert arrows.XY[~arrows.Umask, 0].min() > -0.5
    moving.obsm["velocity_csl"][:] = np.nan
    with pytest.raises(ValueError, match="No cell has a place, a latent and a velocity"):
        pl.velocity(moving)


def test_refused(moving):
    with pytest.raises(ValueError, match="kind must be 'stream' or 'arrows'"):
        pl.velocity(moving, kind="lines")
    with pytest.raises(ValueError, match="No obs column or feature 'age'"):
        pl.velocity(moving, color="age")
    with pytest.raises(ValueError, match=r"No .obsm\['X_other'\]"):
        pl.velocity(moving, key="X_other")
    del moving.obsm["velocity_csl"]
    with pytest.raises(ValueError, match=r"run `scvcell.tl.velocity"):
        pl.velocity(moving)
