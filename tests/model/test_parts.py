"""A part that is learned on a model keeps, restores, extends and cites itself by one registry."""

import numpy as np
import pytest

import scvcell
from scvcell.model import PARTS, Part


class Centre(Part):
    """Mean state of the cells, times a number."""

    what = "where the cells are"

    def __init__(self, mean, times):
        self.mean, self.times = mean, times

    @classmethod
    def learn(cls, model, times=1):
        return cls(model.posterior().mean.numpy().mean(0), times)

    def dump(self):
        return {"times": self.times}, {"mean": self.mean}

    @classmethod
    def restore(cls, plain, arrays, n_latent):
        assert arrays["mean"].shape == (n_latent,)
        return cls(arrays["mean"], plain["times"])

    @property
    def columns(self):
        return ("age",)

    @property
    def references(self):
        return ("A. Centre, 2026",)


@pytest.fixture
def model(small, monkeypatch):
    """The model of `small`, on which a part of a test may be learned."""
    monkeypatch.setitem(PARTS._items, "centre", Centre)
    monkeypatch.setattr(small.model, "parts", dict(small.model.parts))
    monkeypatch.setattr(small.model, "outdated", set())
    return small.model


def test_a_part_is_learned_by_its_name_and_is_an_attribute(model, small):
    assert model.centre is None
    with pytest.raises(scvcell.errors.NotLearned, match=r"no centre yet. Learn it: model.learn\('centre'\)"):
        model.part("centre")
    model.learn("centre", times=3)
    assert model.centre is model.part("centre") is model.parts["centre"]
    np.testing.assert_allclose(model.centre.mean, small.mdata.obsm["X_csl"].mean(0), rtol=1e-4, atol=1e-5)
    assert model.columns == ["batch", "age"]
    assert "A. Centre, 2026" in scvcell.cite(model)


def test_a_part_is_saved_loaded_and_goes_to_queries(model, small, tmp_path):
    model.learn("centre", 3)
    folder = model.save(tmp_path / "m")
    assert {"centre.json", "centre.npz"} <= {path.name for path in folder.iterdir()}
    again = scvcell.CSL.load(folder)
    assert again.centre.times == 3
    np.testing.assert_array_equal(again.centre.mean, model.centre.mean)
    assert model.load_query_data(small.mdata).centre is model.centre


def test_a_part_of_a_package_that_is_not_there_is_left_out_with_a_warning(model, tmp_path, monkeypatch, caplog):
    model.learn("centre")
    folder = model.save(tmp_path / "m")
    monkeypatch.delitem(PARTS._items, "centre")
    again = scvcell.CSL.load(folder)
    assert "has a part 'centre' of a package that is not installed here; it is left out" in caplog.text
    assert set(again.parts) == {"calibration"}


def test_what_was_learned_on_old_states_is_to_be_learned_again(model):
    model.learn("centre")
    model.outdate()
    with pytest.raises(
        scvcell.errors.NotLearned, match=r"since it learned where the cells are.*model.learn\('centre'\)"
    ):
        model.part("centre")
    model.learn("centre")
    assert model.part("centre").times == 1


def test_the_packages_own_parts_come_by_the_same_entry_points():
    assert {"calibration", "drift", "response"} <= set(PARTS)
    assert all(issubclass(PARTS[name], Part) for name in PARTS)
    with pytest.raises(KeyError, match=r"No part is called 'respnsee'. Did you mean 'response'"):
        PARTS["respnsee"]


def test_a_part_must_say_how_it_is_kept():
    with pytest.raises(TypeError, match="abstract"):
        Part()
    part = Centre(np.zeros(2), 1)
    assert part.extend() is part
