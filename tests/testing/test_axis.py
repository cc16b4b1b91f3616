"""The contract of axes catches what it should, and passes what keeps it."""

from dataclasses import replace

import numpy as np
import pytest

import scvcell
from scvcell.risk import Split, hide_pairing
from scvcell.risk.axes import Modality, Perturbation, Scale
from scvcell.testing import check_axis

KEYS = scvcell.PerturbationKeys("action", control="control", context="cell_type")


@pytest.fixture(scope="module")
def world():
    data = scvcell.datasets.simulate(120, n_genes=30, n_proteins=6, paired=0.8, seed=0)
    return data, hide_pairing(data, "rna", "adt", share=0.3, seed=1)


@pytest.fixture(scope="module")
def screen():
    data = scvcell.datasets.simulate_actions(300, n_targets=3, n_genes=30, n_proteins=4, n_types=2, seed=1)
    pairs = data.obs_names[data.obs["action"].astype(str).str.contains(r"\+")]
    return data, Split(data.obs_names.difference(pairs), data.obs_names[:0], pairs)


def test_axes_of_this_package_keep_the_contract(world, screen):
    check_axis(Modality("rna", "adt"), *world)
    check_axis(Perturbation(KEYS), *screen)
    tissue = scvcell.datasets.simulate_tissue(400, n_donors=1, n_genes=30, seed=0)["cells"]
    some = tissue.obs_names[tissue.obsm["spatial"][:, 0] > np.median(tissue.obsm["spatial"][:, 0])]
    split = Split(tissue.obs_names.difference(some), tissue.obs_names[:0], some)
    check_axis(Scale(sizes=(3,), n_patches=30), tissue, split)


class Nameless(Modality):
    name = ""


class Mute(Modality):
    def stress_tests(self, data, split):
        return iter(())


class Twins(Modality):
    def stress_tests(self, data, split):
        for test in super().stress_tests(data, split):
            yield replace(test, name="test")


class Changes(Modality):
    def hide(self, data, split):
        data["rna"].X.data += 1
        return super().hide(data, split)


class Nearer(Modality):
    def stress_tests(self, data, split):
        for test in super().stress_tests(data, split):
            yield replace(test, severity=-1.0)


class Leaks(Modality):
    def hide(self, data, split):
        """All cells as they are."""
        return data.copy()

    def stress_tests(self, data, split):
        for test in list(super().stress_tests(data, split))[1:]:
            yield replace(test, question=replace(test.question, cells=split.test))


class Unseen(Modality):
    def hide(self, data, split):
        return data[~data.obs_names.isin(split.test)].copy()


class Moody(Modality):
    def stress_tests(self, data, split):
        rng = np.random.default_rng()
        for test in list(super().stress_tests(data, split))[1:]:
            cells = test.question.cells[rng.permutation(len(test.question.cells))]
            yield replace(test, question=replace(test.question, cells=cells))


class Generous(Modality):
    def score(self, test, prediction):
        return {"answered": 1.0}


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (Nameless, "an axis must have a name"),
        (Mute, "an axis must ask something"),
        (Twins, "tests must have names of their own"),
        (Changes, "must leave the data as they are"),
        (Nearer, "severity must be a number from 0 on, not -1.0"),
        (Leaks, "'rna to adt': 29 cells are seen with the 'adt' that is asked for"),
        (Unseen, r"asks about \d+ cells whose 'rna' is not seen"),
        (Moody, "must ask about the same cells each time"),
        (Generous, "an answer of NaN must score as not answered"),
    ],
)
def test_each_broken_point_is_named(world, axis, message):
    data, split = world
    with pytest.raises(AssertionError, match=message):
        check_axis(axis("rna", "adt"), data.copy(), split)


def test_treated_cells_that_are_asked_about_must_be_hidden(screen):
    data, split = screen

    class Shows(Perturbation):
        def hide(self, data, split):
            return data.copy()

    with pytest.raises(AssertionError, match="cells are seen with the 'rna' that is asked for"):
        check_axis(Shows(KEYS), data, split)
