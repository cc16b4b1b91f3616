"""What tests of containers share."""

import pytest


@pytest.fixture(scope="session")
def check_rows():
    """Each cell's row of each modality has the cell's own name; cells without it have -1."""

    def check(seen, data):
        """Each cell's row of each modality has the cell's own name; cells without it have -1."""
        for name, adata in seen.modalities.items():
            for cell, row in zip(seen.obs_names, seen.rows[name], strict=True):
                assert (row >= 0) == (cell in adata.obs_names)
                if row >= 0:
                    assert adata.obs_names[row] == cell
        assert list(seen.obs_names) == list(data.obs_names)
        assert seen.source is data

    return check
