"""pp.split: what is meant by its arguments, calibration, and what is refused."""

import mudata
import pandas as pd
import pytest

import scvcell
from scvcell.pp import Split, split


class TestBy:
    def test_a_column_goes_before_a_way(self, screen, keys):
        screen.obs["target"] = screen.obs["donor"]
        assert split(screen, "target", test="d01").how["splitter"] == "group"
        assert split(screen, "target", test="A", perturbation=keys).how["splitter"] == "target"
        screen.obs["block"] = screen.obs["donor"]
        assert split(screen, "block", test="d01").how["splitter"] == "group"
        assert split(screen, "block", gap=3.0).how["splitter"] == "block"

    @pytest.mark.parametrize("by", ["Higher_Dose", "higher-dose", "HIGHER DOSE"])
    def test_names_are_read_generously(self, screen, keys, by):
        assert split(screen, by, perturbation=keys).how["splitter"] == "higher dose"

    def test_near_misses(self, screen, keys):
        with pytest.raises(
            KeyError, match=r"by='donr' is neither an obs column nor a way to split. Did you mean 'donor'"
        ):
            split(screen, "donr")
        with pytest.raises(KeyError, match="Did you mean 'higher dose'"):
            split(screen, "highest dose", perturbation=keys)

    @pytest.mark.parametrize(
        ("by", "options", "message"),
        [
            ("donor", {"gap": 1.0}, "gap= does not go with by='donor'; it goes with block"),
            (
                "donor",
                {"classes": {}},
                "classes= does not go with by='donor'; it goes with mechanism, pathway, scaffold",
            ),
            (None, {}, "by= says what is new: an obs column, or one of action, block"),
            ("donor", {"calibration": 1.0}, r"calibration is a share .* in \[0, 1\), not 1.0"),
            ("donor", {"calibration": "half"}, "calibration is a share"),
        ],
    )
    def test_arguments_that_do_not_go_together(self, screen, by, options, message):
        with pytest.raises(ValueError, match=message):
            split(screen, by, **options)

    def test_perturbation_of_groups(self, screen, keys):
        with pytest.raises(ValueError, match="perturbation= does not go with by='donor'"):
            split(screen, "donor", perturbation=keys)

    def test_several_columns(self, screen):
        with pytest.raises(TypeError, match="by takes one column"):
            split(screen, ["donor", "line"])


class TestCalibration:
    def test_whole_groups(self, screen):
        found = split(screen, "donor", test="d00", calibration=0.2)
        donor = screen.obs["donor"]
        assert found.how["calibration_of"] == "items"
        assert set(donor[found.calibration]) == set(found.how["calibration_items"])
        assert not set(donor[found.calibration]) & set(donor[found.train])

    def test_single_cells_where_groups_are_few_and_it_is_said(self, screen, caplog):
        found = split(screen, "line", test="x", calibration=0.2)
        assert found.how["calibration_of"] == "cells"
        assert len(found.calibration) == round(0.2 * (screen.n_obs - len(found.test)))
        assert set(found.why[found.calibration]) == {"sets intervals; like what is seen"}
        assert "intervals may be too narrow for what is new" in caplog.text
        assert set(screen.obs.loc[found.calibration, "line"]) == {"y", "z"}

    def test_another_seed_takes_others(self, screen):
        parts = [split(screen, "donor", test="d00", calibration=0.2, seed=s).calibration for s in range(8)]
        assert len({tuple(part) for part in parts}) > 3


class TestContainers:
    def test_modalities_of_different_cells(self, mosaic):
        mdata = mosaic(150)
        found = split(mdata, "batch", test="b1", calibration=0.1)
        assert isinstance(found, Split)
        assert set(found.test) == set(mdata.obs_names[mdata.obs["batch"] == "b1"])
        assert found.data["features"].keys() == {"rna", "adt"}
        found.check(mdata)
        found.check(mudata.MuData({"rna": mdata["rna"], "adt": mdata["adt"]}))

    def test_cells_in_space(self):
        sdata = scvcell.datasets.simulate_tissue(300, n_donors=1, n_genes=20, as_anndata=False, seed=0)
        found = split(sdata, "block", table_key="cells", test=0.3)
        assert set(found.unit.index) | set(found.outside.index) == set(sdata["cells"].obs_names)
        assert len(found.outside)
        found.check(sdata["cells"])

    def test_mapped_cells_without_features(self, screen):
        bare = screen[:, :0].copy()
        assert split(bare, "donor", test="d01").test.equals(split(screen, "donor", test="d01").test)


def test_items_are_as_a_user_named_them(screen):
    screen.obs["site"] = pd.Categorical(screen.obs["donor"].str[-1].astype(int))
    assert split(screen, "site", test=3).how["test"] == ["3"]
