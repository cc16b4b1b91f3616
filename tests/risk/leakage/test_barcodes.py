"""Barcodes on both sides, beyond what lanes share by chance."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scvcell import pp
from scvcell._containers import view
from scvcell.risk.leakage import Case, barcodes
from scvcell.risk.leakage._barcodes import KNOWN, sequence


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCAT"), ("d1_AAACCTGAGAAACCAT", "AAACCTGAGAAACCAT")),
        *(("aaacctgagaaaccat-1", "AAACCTGAGAAACCAT"), ("lane#AAACCTGAGAAACC.rna", "AAACCTGAGAAACC")),
        ("ACGTACGTAC_TTTTGGGGCC-3", "ACGTACGTAC-TTTTGGGGCC"),
        *(("cell0001", None), ("GATTACA-1", None), ("CATTAGGACCATxyz", None), ("", None)),
    ],
)
def test_sequences(name, code):
    assert sequence(name) == code


def look(train, test):
    names = pd.Index([*train, *test])
    adata = AnnData(np.zeros((len(names), 1), np.float32), pd.DataFrame(index=names))
    split = pp.Split(names[: len(train)], names[:0], names[len(train) :])
    return next(iter(barcodes(Case(adata, view(adata), split))), None)


def drawn(rng, n, letters=16):
    return ["".join(row) for row in np.array(list("ACGT"))[rng.integers(4, size=(n, letters))]]


def test_chance_is_allowed_and_more_is_not():
    rng = np.random.default_rng(0)
    known = np.array(drawn(rng, KNOWN // 100))
    train = rng.choice(known, 3000, replace=False)
    test = rng.choice(known, 500, replace=False)
    found = look([f"{name}-1" for name in train], [f"{name}-2" for name in test])
    assert found.value == np.isin(test, train).mean() > 0.2
    assert found.verdict == "red", "of so short a list all lanes would share much; the usual ones are longer"
    clean = look([f"{name}-1" for name in drawn(rng, 3000)], [f"{name}-2" for name in drawn(rng, 500)])
    assert (clean.value, clean.verdict) == (0, "green")
    few = look([f"{name}-1" for name in train], [*(f"{n}-2" for n in drawn(rng, 2000)), f"{train[0]}-2"])
    assert (few.value, few.verdict) == (1 / 2001, "green"), "3,000 of 737,280 barcodes: eight of 2,000 by chance"


def test_short_barcodes_are_shared_more_often():
    rng = np.random.default_rng(1)
    found = look(
        list(dict.fromkeys(f"{n}-1" for n in drawn(rng, 2000, 8))), [f"{n}-2" for n in set(drawn(rng, 300, 8))]
    )
    assert found.value > 0.01
    assert found.verdict == "green"


def test_names_without_barcodes_tell_nothing():
    assert look(["c1", "c2"], ["c1-1"]) is None
