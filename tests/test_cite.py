"""References of what a model used, and of nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import scvcell


def test_cite(small, mosaic, quick):
    references = scvcell.cite(small.model)
    assert len(references) == len(set(references))
    for author in ("Hu and Chen", "Gayoso", "Virshup", "Lopez", "van den Oord"):
        assert any(author in r for r in references)
    alone = scvcell.cite(scvcell.tl.fit(mosaic(60)["rna"], train=replace(quick, max_epochs=1)))
    assert not any("van den Oord" in r or "totalVI" in r for r in alone)


def test_each_thing_that_was_used_adds_its_source(small, monkeypatch):
    model = small.model

    def added(**used):
        for name, value in used.items():
            monkeypatch.setattr(model, name, value)
        return {line.split(",")[0] for line in set(scvcell.cite(model)) - before}

    monkeypatch.setattr(model, "matched", 0)
    before = set(scvcell.cite(model))
    assert added(matched=3) == {"Haghverdi et al."}
    assert added(alignment="unpaired, guidance graph") == {"Haghverdi et al.", "Chen et al."}
    assert added(matched=0, edges=object()) == {"Cao and Gao"}
    monkeypatch.setitem(model.parts, "thing", SimpleNamespace(references=("A. Nother, 2026", "")))
    assert "A. Nother, 2026" in scvcell.cite(model)
    assert "" not in scvcell.cite(model)


def test_what_no_weight_asks_for_is_not_cited(small, monkeypatch):
    monkeypatch.setattr(small.model, "weights", scvcell.Weights(align=0))
    assert not any("van den Oord" in line for line in scvcell.cite(small.model))
