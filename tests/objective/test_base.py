"""Weights of terms, and the registry that every package may add a term to."""

import pytest

from scvcell.objective import TERMS, Weights


def test_align_multiplies_its_terms():
    weights = Weights(align=0.5, contrast=4, agreement=2, match=10, likelihood=3)
    assert [weights.of(t) for t in ("contrast", "agreement", "match", "likelihood")] == [2, 1, 5, 3]


@pytest.mark.parametrize("name", ["likelihood", "kl", "align", "contrast", "agreement", "match", "cross"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_weights_must_be_finite_and_not_negative(name, value):
    with pytest.raises(ValueError, match=rf"Weights\.{name} must be a finite number >= 0"):
        Weights(**{name: value})


def test_weights_that_leave_nothing_to_learn_are_refused():
    with pytest.raises(ValueError, match="nothing to learn"):
        Weights(likelihood=0, align=0)


def test_a_term_of_another_package_has_weight_one():
    weights = Weights(align=0.5)
    assert weights.of("theirs") == 1
    assert Weights().of("prior") == 0.1
    with pytest.raises(TypeError, match=r"Weights\.kl must be a number >= 0, not 'a'"):
        Weights(kl="a")


def test_terms_are_in_the_order_in_which_they_were_registered():
    names = [name for name, _ in TERMS.in_order()]
    assert names[:2] == ["likelihood", "kl"]
    assert {"contrast", "agreement", "match", "prior"} <= set(names)
    assert all(callable(term) for _, term in TERMS.in_order())
    with pytest.raises(KeyError, match=r"No term of the objective is called 'contrastt'. Did you mean 'contrast'"):
        TERMS["contrastt"]
