"""A part and a loss term of a third party: where the cells of each label lie, and how far states are from 0."""

from __future__ import annotations

import numpy as np

from scvcell.model import Part


class Centre(Part):
    """Mean state of the cells of every label of a column."""

    what = "where labels lie"
    relearn = "model.learn('centre', key)"
    absent = "This model has no centres yet. Learn them: model.learn('centre', key)."

    def __init__(self, key, names, means):
        self.key, self.names, self.means = key, list(names), means

    @classmethod
    def learn(cls, model, key):
        """Of the cells that the model was fitted on."""
        seen = model.view()
        label, states = seen.column(key).astype(str).to_numpy(), model.posterior(seen).mean.numpy()
        names = np.unique(label)
        return cls(key, names, np.stack([states[label == name].mean(0) for name in names]))

    def dump(self):
        """Names as plain values, means as an array."""
        return {"key": self.key, "names": self.names}, {"means": self.means}

    @classmethod
    def restore(cls, plain, arrays, n_latent):
        """Inverse of `dump`."""
        assert arrays["means"].shape[1] == n_latent
        return cls(plain["key"], plain["names"], arrays["means"])

    @property
    def columns(self):
        """The column of the labels."""
        return (self.key,)

    @property
    def references(self):
        """What to cite."""
        return ("C. Entre, 2026",)


def size(network, batch, state):
    """Mean square of the states of a mini-batch, a hundredth of it."""
    return 0.01 * state.joint.mean.pow(2).mean()
