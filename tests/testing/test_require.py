"""Contract tests fail by an AssertionError that says what is required."""

import pytest

from scvcell.testing._require import require


def test_what_is_required():
    require(True, "nothing")
    with pytest.raises(AssertionError, match="must be finite"):
        require(False, "it must be finite")
