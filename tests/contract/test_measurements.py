"""Every registered operator, with its options, passes the contract and documents itself."""

import pytest

from scvcell.measure import MEASUREMENTS, Measurement
from scvcell.testing import check_measurement

OPTIONS = {
    "atac": [{"likelihood": "bernoulli"}],
    "endpoint": [{"kind": "continuous"}],
    "kinetics": [{"time": 2.0}],
    "profile": [{"likelihood": "student"}],
    "counts": [{"likelihood": "nb"}, {"likelihood": "zinb"}, {"likelihood": "poisson"}],
    "protein": [{"background": [0.1] * 8}, {"background": [1.0] * 8, "background_sd": [0.5] * 8}],
}
CASES = [(name, options) for name in MEASUREMENTS for options in [{}, *OPTIONS.get(name, [])]]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{list(o.values())[:1]}" for n, o in CASES])
def test_contract(name, options):
    check_measurement(MEASUREMENTS[name], options)


@pytest.mark.parametrize("name", list(MEASUREMENTS))
def test_contract_holds_for_large_panels(name, monkeypatch):
    """Operators may treat large panels in another way than small ones."""
    monkeypatch.setattr("scvcell.testing._measurement.FEATURES", 60)
    monkeypatch.setattr("scvcell.testing.example_summary.__defaults__", (60, 2))
    check_measurement(MEASUREMENTS[name])


@pytest.mark.parametrize("name", list(MEASUREMENTS))
def test_registered_operators_document_themselves(name):
    cls = MEASUREMENTS[name]
    assert cls.__doc__
    assert cls.equation != Measurement.equation
    assert cls.reference
    assert MEASUREMENTS.aliases(name) == sorted(alias.lower() for alias in MEASUREMENTS.aliases(name))
