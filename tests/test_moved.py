"""Names that have moved."""

import pytest

from scvcell._moved import moved


def test_a_name_that_moved_warns_and_is_the_same_object():
    get = moved("old", {"Registry": "scvcell._registry:Registry"})
    with pytest.warns(FutureWarning, match=r"old\.Registry is now scvcell\._registry\.Registry"):
        found = get("Registry")
    from scvcell._registry import Registry

    assert found is Registry


def test_others_are_unknown():
    with pytest.raises(AttributeError, match="module 'old' has no attribute 'nothing'"):
        moved("old", {})("nothing")
