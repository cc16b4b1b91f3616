"""Names of metrics as readers see them."""

import pytest

from scvcell.score import METRICS
from scvcell.score._title import NAMES, metric_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("foscttm", "FOSCTTM"), ("mixing", "Modality mixing"), ("macro_f1", "Macro f1"), ("recall@10", "Recall@10")],
)
def test_known_names_have_their_own_title_and_others_lose_their_underscores(name, shown):
    assert metric_name(name) == shown


def test_titles_are_of_metrics_that_exist_and_no_two_are_alike():
    assert set(NAMES) <= set(METRICS)
    titles = [metric_name(name) for name in METRICS]
    assert len(set(titles)) == len(titles)
    assert not any("_" in title or not title[:1].isupper() for title in titles)
