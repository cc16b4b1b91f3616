"""Where `scvcell.cite` gets its list; tests/test_cite.py asks for what is in it."""

import scvcell
from scvcell.model import references


def test_one_list_for_the_card_and_for_cite(small):
    assert references(small.model) == scvcell.cite(small.model)
