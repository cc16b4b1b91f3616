"""Names, aliases, near misses and entry points of registries."""

import re
from types import SimpleNamespace

import pytest

from scvcell._registry import Registry
from scvcell.measure import MEASUREMENTS


@pytest.fixture
def registry():
    out = Registry("thing", "scvcell.no-such-group")
    out.register("counts", aliases=("rna", "gex"))(int)
    out.register("protein")(str)
    return out


def test_lookup(registry):
    assert registry["counts"] is int
    assert "protein" in registry
    assert "rna" not in registry
    assert list(registry) == ["counts", "protein"]
    assert registry.aliases("counts") == ["gex", "rna"]


@pytest.mark.parametrize(
    ("given", "name"), [("counts", "counts"), ("RNA", "counts"), ("Gex", "counts"), ("cuonts", None)]
)
def test_infer(registry, given, name):
    assert registry.infer(given) == name


def test_near_miss(registry):
    with pytest.raises(
        KeyError, match=re.escape("No thing is called 'cuonts'. Did you mean 'counts'? Registered: counts, protein")
    ):
        registry["cuonts"]
    with pytest.raises(KeyError) as error:
        registry["zzz"]
    assert "Did you mean" not in str(error.value)


def test_a_name_cannot_be_taken_twice(registry):
    with pytest.raises(ValueError, match="'counts' is registered already by <class 'int'>"):
        registry.register("counts")(float)
    assert registry.register("counts")(int) is int
    assert registry["counts"] is int


def entry(name, item):
    return SimpleNamespace(name=name, load=lambda: item)


def test_entry_points_are_loaded_once_and_never_replace(registry, monkeypatch):
    calls = []

    class Plugin:
        aliases = ("profile", "rna")

    def points(group):
        calls.append(group)
        return [entry("counts", Plugin), entry("images", Plugin)]

    monkeypatch.setattr("scvcell._registry.entry_points", points)
    assert registry["counts"] is int
    assert registry["images"] is Plugin
    assert registry.infer("Profile") == "images"
    assert registry.infer("rna") == "counts"
    assert calls == ["scvcell.no-such-group"]


@pytest.mark.parametrize(
    ("modality", "operator"),
    [
        ("rna", "counts"),
        ("GEX", "counts"),
        ("counts", "counts"),
        ("adt", "protein"),
        ("prot", "protein"),
        ("Protein", "protein"),
        ("ATAC", "atac"),
        ("peaks", "atac"),
        ("morphology", "profile"),
    ],
)
def test_usual_modality_names_are_recognised(modality, operator):
    assert MEASUREMENTS.infer(modality) == operator


def test_a_broken_plugin_does_not_break_the_package(registry, monkeypatch, caplog):
    def fail():
        raise ImportError("no module named tpu")

    broken = SimpleNamespace(name="broken", load=fail)
    monkeypatch.setattr("scvcell._registry.entry_points", lambda group: [broken, entry("images", bool)])
    assert registry["images"] is bool
    assert "broken" in caplog.text
