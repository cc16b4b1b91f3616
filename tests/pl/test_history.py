from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from scvcell import pl


@pytest.fixture
def history():
    epoch = pd.RangeIndex(5, name="epoch")
    values = {
        "rna_train": [5.0, 4, 3, 2, 1],
        "rna_validation": [6.0, 5, 4, 3, 2],
        "kl_train": [1.0, 2, 3, 4, 5],
        "loss_train": [6.0, 6, 6, 6, 6],
        "loss_validation": [7.0, 7, 7, 7, np.nan],
        "kl_weight": [0.0, 1, 1, 1, 1],
    }
    return {name: pd.DataFrame({name: v}, index=epoch) for name, v in values.items()}


def lines(ax):
    return {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines()}


def test_one_panel_per_term_the_total_first(history):
    axes = pl.history(SimpleNamespace(history=history))
    assert [ax.get_title() for ax in axes] == ["Total", "Reconstruction of rna", "Divergence from the prior (KL)"]
    assert lines(axes[0]) == {"Training": [6] * 5, "Held out": [7] * 4}
    assert lines(axes[1]) == {"Training": [5, 4, 3, 2, 1], "Held out": [6, 5, 4, 3, 2]}
    assert lines(axes[2]) == {"Training": [1, 2, 3, 4, 5]}
    assert axes[0].get_xlabel() == "Epoch"
    assert [ax.get_ylabel() for ax in axes] == ["Sum of all terms", "Nats per cell", "Nats per cell"]


def test_terms_that_never_were_are_left_out_unless_asked_for(history):
    none = pd.DataFrame({"match_train": np.zeros(5)}, index=pd.RangeIndex(5, name="epoch"))
    assert len(pl.history(history | {"match_train": none})) == 3
    (ax,) = pl.history(history | {"match_train": none}, terms="match")
    assert ax.get_ylabel() == "Weighted loss"


def test_a_frame_or_a_dict_will_do(history):
    frame = pd.concat(list(history.values()), axis=1)
    for source in (history, frame):
        assert lines(pl.history(source, terms="kl")[0]) == {"Training": [1, 2, 3, 4, 5]}


def test_axes_of_the_user(history):
    _, own = plt.subplots(1, 2)
    axes = pl.history(history, terms=["kl", "loss"], ax=own)
    assert list(axes) == list(own)
    with pytest.raises(ValueError, match="1 panel; `ax` holds 2"):
        pl.history(history, terms=["kl"], ax=own)


def test_errors_say_what_to_do(history):
    with pytest.raises(ValueError, match=r"run `scvcell\.tl\.fit\(data\)`"):
        pl.history(SimpleNamespace(history={}))
    with pytest.raises(ValueError, match=r"No term 'adt' in the history.* loss, rna, kl"):
        pl.history(history, terms=["adt"])
