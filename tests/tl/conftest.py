"""A model of actions that several files ask, fitted once, and shorter training of what is not asked how good it is."""

from types import SimpleNamespace

import pytest

import scvcell


@pytest.fixture(scope="module", autouse=True)
def quick_flows(flows):
    """Flows of actions that the tests of a file fit are short ones."""


@pytest.fixture(scope="session")
def dosed(short_flows):
    """Cells of simulated targets at two doses, and a model of two epochs that knows how they act; read only."""
    data = scvcell.datasets.simulate_actions(
        200, n_targets=2, pairs=False, n_genes=30, n_proteins=5, seed=1, doses=(1.0, 10.0)
    )
    keys = scvcell.PerturbationKeys("action", control="control", dose="dose", context="cell_type")
    train = scvcell.TrainConfig(max_epochs=2, progress=False, accelerator="cpu")
    with short_flows():
        model = scvcell.tl.fit(data, perturbation=keys, train=train)
    return SimpleNamespace(data=data, model=model, train=train)


@pytest.fixture(scope="module")
def fewer_steps():
    """Lifting that is quick: short training of the prior, few mixtures to calibrate on."""
    from scvcell.scale import _amortise
    from scvcell.tissue import _composition

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_amortise, "N_STEPS", 100)
        patch.setattr(_composition, "N_CHECKED", 100)
        yield
