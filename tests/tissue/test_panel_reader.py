"""Reading of panels: platform factors of like cells, and depths that follow what a cell was counted to."""

import numpy as np

from scvcell.tissue._panel_reader import factors, learn


def test_factors_of_cells_of_like_states():
    rng = np.random.default_rng(0)
    state = rng.normal(size=(3000, 3))
    rates = np.exp(state @ rng.normal(0, 0.3, (3, 12)))
    factor = np.exp(rng.normal(0, 0.5, 12))
    ours, theirs = rng.poisson(20 * rates).astype(float), rng.poisson(20 * rates * factor).astype(float)
    # a tissue of other composition: only cells on one side of the states
    side = state[:, 0] > 0.3
    got = factors((ours, state), (theirs[side], state[side]))
    ratio = np.log(got / factor)
    assert (ratio - ratio.mean()).std() < 0.15
    assert np.corrcoef(np.log(got), np.log(factor))[0, 1] > 0.95


def test_a_tissue_is_read_without_its_platform(imputed):
    seen = imputed.model.view(imputed.mdata)
    has = seen.present("rest")
    reference, tissue = seen.subset(np.flatnonzero(has)), seen.subset(np.flatnonzero(~has)[60:])
    reader, known, y = learn(imputed.model, reference, tissue, "rest", "panel", ["panel"])
    np.testing.assert_allclose(known.panel.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(known.panel.std(0), 1, atol=0.01)
    np.testing.assert_array_equal(
        y.toarray(), imputed.reference[reference.obs_names, imputed.hidden.var_names].X.toarray()
    )
    bare, raw = (np.abs(reader.cells(tissue, tissue=flag).panel.mean(0)).mean() for flag in (True, False))
    assert bare < 0.5 * raw
    deep = known.depth
    own, free = reader.decoded(reference, deep)
    more, same = reader.decoded(reference, 2 * deep)
    assert (more.sum(1) > own.sum(1)).all()
    np.testing.assert_allclose(same, free)
