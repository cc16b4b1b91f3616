"""Names that are written into containers, and keys that would write over what is the user's."""

from types import SimpleNamespace

import pytest

from scvcell import _keys


def test_every_key_is_written_once_and_can_be_a_key_of_a_file():
    keys = {name: value for name, value in vars(_keys).items() if name.isupper() and isinstance(value, str)}
    assert len(keys) > 30
    assert not [value for value in keys.values() if "/" in value or not value]
    twice = {name for name, value in keys.items() if list(keys.values()).count(value) > 1}
    assert not twice


def test_names_that_belong_together_share_their_stem():
    assert list(_keys.response_keys("r").values()) == ["r", "r_sd", "r_probability"]
    assert list(_keys.label_keys("l").values()) == ["l", "l_probability", "l_trusted"]
    assert _keys.uncertainty_key("X_csl") == "csl_uncertainty"
    assert _keys.uncertainty_key("X_mine") == "X_mine_uncertainty"
    assert _keys.BITS.format(modality="rna") == "csl_bits_rna"


@pytest.fixture
def data():
    return SimpleNamespace(obs={"cluster": 1, "score": 2, "score_sd": 3}, obsm={"X_pca": 1})


def test_free_keys_and_those_that_are_ours_are_taken(data):
    for key, columns in (("new", ["new", "new_sd"]), ("score", ["score", "score_sd"])):
        _keys.check_key_added(data, key, columns)
    _keys.check_key_added(data, "cluster", ["cluster", "cluster_sd"], default="cluster")
    _keys.check_key_added(data, "X_new", ["X_new_uncertainty"], obsm=True)


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("cluster", {"columns": ["cluster", "cluster_sd"]}, r"would write over obs\['cluster'\], which the data have"),
        ("X_pca", {"columns": ["X_pca_uncertainty"], "obsm": True}, r"would write over obsm\['X_pca'\]"),
        ("a/b", {"columns": []}, "without '/', which files cannot hold, not 'a/b'"),
        ("", {"columns": []}, "must be a name"),
    ],
)
def test_what_is_the_users_is_not_written_over(data, key, options, message):
    with pytest.raises(ValueError, match=message):
        _keys.check_key_added(data, key, **options)
    with pytest.raises(TypeError, match="key_added must be text, not 3"):
        _keys.check_key_added(data, 3, [])
