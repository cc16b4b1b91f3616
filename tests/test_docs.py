"""Code in README.md and in docs/extending.md does what the text beside it says."""

import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import anndata
import matplotlib as mpl
import mudata
import numpy as np
import pandas as pd
import pytest
import torch

import scvcell
from scvcell import Action, PerturbationKeys
from scvcell.measure import MEASUREMENTS
from scvcell.model import PARTS
from scvcell.objective import TERMS
from scvcell.perturb import PERTURBATIONS, read_design
from scvcell.pp.splits import SPLITTERS
from scvcell.risk.axes import AXES
from scvcell.risk.baselines import BASELINES
from scvcell.risk.leakage import CHECKS
from scvcell.score import METRICS

ROOT = Path(__file__).parents[1]
PAGES = [page for folder in (".", "docs", "benchmarks") for page in sorted((ROOT / folder).glob("*.md"))]


def blocks(path):
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), flags=re.DOTALL)


def test_example_of_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    example, _, _ = blocks("README.md")
    names = {}
    exec(example, names)
    assert names["protein"].n_obs == names["mdata"].n_obs
    assert "foscttm" in capsys.readouterr().out
    loaded = scvcell.CSL.load("my_model", names["mdata"])
    np.testing.assert_array_equal(loaded.get_latent_representation(), names["mdata"].obsm["X_csl"])


def test_actions_of_readme(quick):
    _, example, _ = blocks("README.md")
    rng = np.random.default_rng(0)
    drug = np.array(["DMSO", "trametinib", "vemurafenib"])[np.arange(150) % 3]
    obs = pd.DataFrame({"drug": drug, "dose": np.where(drug == "DMSO", 0.0, 1.0), "cell_type": "melanoma"})
    adata = anndata.AnnData(rng.poisson(2.0, (150, 20)).astype(np.float32), obs=obs.set_index(obs.index.astype(str)))
    fit = example.replace("perturbation=keys", "perturbation=keys, train=quick")
    names = {"scvcell": scvcell, "adata": adata, "quick": quick}
    exec(fit, names)
    assert len(names["effects"]) == 20
    assert names["cells"].n_obs == 50


def test_tissue_of_readme(quick):
    *_, example = blocks("README.md")
    sdata = scvcell.datasets.simulate_tissue(600, n_donors=1, n_genes=60, as_anndata=False, seed=0)
    stains = sdata["cells"][::-1, :5].copy()
    stains.X.data += 1
    del sdata["cells"].obs["niche"], stains.obs["niche"]
    sdata["stains"] = stains
    names = {"scvcell": scvcell, "sdata": sdata, "quick": quick}
    exec(example.replace('"adt": "stains"}', '"adt": "stains"}, train=quick'), names)
    assert sdata["lifted"].n_obs == sdata["spots"].n_obs
    for table in ("cells", "stains"):
        assert {"X_csl", "X_niche"} <= set(sdata[table].obsm)
        assert sdata[table].obs["niche"].nunique() == 3


def extending(title):
    """Code of one section of docs/extending.md."""
    sections = re.split(r"^## ", (ROOT / "docs" / "extending.md").read_text(), flags=re.MULTILINE)
    (text,) = [section for section in sections if section.startswith(title + "\n")]
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def forgetful(monkeypatch):
    """Registries that forget what a test registers."""
    for registry in (MEASUREMENTS, PERTURBATIONS, PARTS, TERMS, METRICS, BASELINES, AXES, SPLITTERS):
        assert not {"fragments", "translation", "centre", "sparsity", "median_error", "median", "hidden assay"} & set(
            registry
        )
        monkeypatch.setattr(registry, "_items", dict(registry._items))
        monkeypatch.setattr(registry, "_aliases", dict(registry._aliases))


def test_measurement_of_extending(forgetful):
    operator, check, register, fit = extending("A kind of assay: measurement")
    names = {}
    exec(operator, names)
    exec(check, names)
    exec(register, names)
    assert MEASUREMENTS.infer("fragment_counts") == "fragments"
    mosaic = scvcell.datasets.pbmc_mosaic()
    some = mosaic["rna"][::10].copy()
    names |= {"mdata": mudata.MuData({"my_atac": some}), "scvcell": scvcell}
    exec(fit, names)
    assert np.isfinite(names["model"].get_latent_representation()).all()


def test_priors_of_extending():
    names = {}
    (example,) = extending("What biology knows: prior")
    exec(example, names)
    assert len(names["graph"]) == 2
    irf1, stat1 = names["kernel"].weights("RELA", ["IRF1", "STAT1"])
    assert irf1 > stat1, "RELA shares a pathway with IRF1 only"


def test_perturbation_of_extending(forgetful):
    names = {}
    (example,) = extending("How actions move states: perturbation")
    exec(example, names)
    operator = PERTURBATIONS["translation"](3, ("A", "B"), largest={"A": 10.0}, span=24.0).double()
    with torch.no_grad():
        operator.direction.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    z = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    for nothing in (Action(), Action({"A": 0.0}), Action("A", time=0)):
        assert torch.equal(operator(z, nothing), z)
    assert torch.equal(operator(z, Action({"A": 2.0}, time=3)), z + torch.tensor([6.0, 0, 0]))
    assert torch.equal(operator(z, Action("A+B")), z + torch.tensor([240.0, 24, 0]))
    schedule = Action.schedule([("A", 3.0, 0, 6), ("B", 0.5, 6, 12)])
    assert torch.equal(operator(z, schedule), z + torch.tensor([18.0, 3, 0]))


def test_part_of_extending(forgetful, mosaic, quick, tmp_path):
    names = {}
    (example,) = extending("Something learned on a fitted model: part")
    exec(example, names)
    mdata = mosaic()
    model = scvcell.tl.fit(mdata, batch_key="batch", train=quick)
    model.learn("centre")
    again = scvcell.CSL.load(model.save(tmp_path / "model"), mdata)
    assert again.centre is again.parts["centre"]
    np.testing.assert_array_equal(again.centre.mean, mdata.obsm["X_csl"].mean(0))


def test_term_of_extending(forgetful, mosaic, quick):
    names = {}
    (example,) = extending("A term of the loss")
    exec(example, names)
    model = scvcell.tl.fit(mosaic(), batch_key="batch", train=quick)
    values = model.history["sparsity_train"].to_numpy()
    assert (values > 0).all()
    assert len(values) == quick.max_epochs


def test_metric_of_extending(forgetful):
    names = {}
    (example,) = extending("A metric")
    exec(example, names)
    found = METRICS["median_error"](np.array([[1.0, 5], [2, 5], [9, 5]]), np.array([[1.0, 4], [1, 4], [1, 4]]))
    np.testing.assert_array_equal(found, [1, 1])
    assert "median_error" in scvcell.score.show().index


def test_baseline_of_extending(forgetful):
    names = {}
    (example,) = extending("A simple prediction to beat: baseline")
    exec(example, names)
    drug = pd.DataFrame({"drug": ["no", "no", "A", "A", "A", "B"]})
    design = read_design(PerturbationKeys("drug", control="no"), lambda name: drug[name])
    values = np.array([[0.0], [2], [5], [6], [100], [-50]])
    allowed = np.array([True, True, True, True, True, False])
    predicted = BASELINES["median"](values, design, allowed, Action("B"), np.array([1]))
    np.testing.assert_array_equal(predicted, [[2 + 6 - 1]])


def test_splitter_of_extending(forgetful):
    splitter, use = extending("A way to split: splitter")
    mdata = scvcell.datasets.simulate(200, n_genes=20, n_proteins=3, paired=1.0, seed=0)
    names = {"scvcell": scvcell, "mdata": mdata}
    exec(splitter, names)
    exec(use, names)
    depth = np.asarray(mdata["rna"].X.sum(1)).ravel()
    deep = mdata["rna"].obs_names[depth >= np.quantile(depth, 0.75)]
    assert set(names["split"].test) == set(deep)
    assert names["split"].reason == "another depth"


def test_axis_and_predictor_of_extending(forgetful, mosaic):
    names = {}
    (axis,) = extending("A way to test predictors: axis")
    predictor, check = extending("A predictor to be tested")
    exec(axis, names)
    exec(predictor, names)
    exec(check, names)
    mdata = mosaic()
    paired = mdata["rna"].obs_names.intersection(mdata["adt"].obs_names)
    split = scvcell.risk.Split(mdata.obs_names.difference(paired[:20]), paired[:0], paired[:20], "hidden proteins")
    asked = AXES["hidden assay"]()
    assert not asked.hide(mdata, split)["adt"].obs_names.isin(paired[:20]).any()
    found = scvcell.risk.ask(names["Mean"](), asked, mdata, split).set_index("metric")["value"]
    seen = mdata["adt"].to_df().drop(paired[:20]).mean()
    error = np.log1p(mdata["adt"].to_df().loc[paired[:20]]) - np.log1p(seen)
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).to_numpy().mean()), rel=1e-5)
    assert found["answered"] == 1
    assert found["pearson"] == 0, "a constant tells nothing"


def test_predictor_of_risk():
    _, example = blocks("docs/risk.md")
    names = {"scvcell": scvcell, "pd": pd}
    exec(example.split("\n\n\n")[0], names)
    predictor = names["NoChange"]()
    adata = scvcell.datasets.pbmc_mosaic()["rna"]
    predictor.fit(adata, None, 0)
    answer = predictor.predict(scvcell.risk.Effect(Action("A"), adata.obs_names))
    assert (answer.change["effect"] == 0).all()
    assert answer.change.index.equals(adata.var_names)
    assert predictor.predict(scvcell.risk.Translate("rna", "adt", adata.obs_names)) is None


def test_tables_of_extending_name_what_there_is():
    text = (ROOT / "docs" / "extending.md").read_text()
    section = text.split("## A kind of assay: measurement\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)", row)]
    assert len(names) > 15
    there = scvcell.measure.Measurement
    assert {name for name in names if not hasattr(there, name)} == {"aliases", "widen"}, "those that the base lacks"
    for name, given in re.findall(r"^\| `(\w+)\((.*?)\)` \|", section, flags=re.MULTILINE):
        own = inspect.signature(getattr(there, name, scvcell.measure.Decoder.widen)).parameters
        wanted = [each.strip(" *") for each in given.split(",") if each]
        assert [each for each in own if each != "self"] == wanted, name


def prose(text):
    """Lines that are read: neither code, tables nor formulas."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith(("|", "![", "["))]


def test_lines_of_prose_are_short():
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    files += (ROOT / "benchmarks" / "notes").glob("*.md")
    long = [f"{file.name}: {line[:40]}" for file in files for line in prose(file.read_text()) if len(line) > 120]
    assert long == []


def anchors(file):
    """Anchors of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "generated/"))]
    for link in links:
        path, _, anchor = link.partition("#")
        file = page.parent / path if path else page
        file = file if file.exists() else file.with_name(file.name + ".md")
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.filterwarnings("error::FutureWarning")
def test_names_of_the_api_page_live_where_it_says():
    text = (ROOT / "docs" / "api.md").read_text()
    names = re.findall(r"^   ([a-z]+(?:\.[\w.]+)|[A-Za-z]+)$", text, flags=re.MULTILINE)
    assert len(names) > 100
    for name in names:
        module, _, last = f"scvcell.{name}".rpartition(".")
        assert hasattr(import_module(module), last), name


@pytest.mark.filterwarnings("error::FutureWarning")
def test_names_in_prose_lead_to_something_public():
    every = (MEASUREMENTS, PERTURBATIONS, PARTS, TERMS, METRICS, BASELINES, AXES, SPLITTERS, CHECKS)
    groups = {registry.group for registry in every}
    found = {name for page in PAGES for name in re.findall(r"`(scvcell(?:\.\w+)+)", page.read_text())} - groups
    assert {"scvcell.errors.NotLearned", "scvcell.measure.widen", "scvcell.objective.TERMS"} <= found
    for name in found:
        thing = scvcell
        for part in name.split(".")[1:]:
            assert not part.startswith("_") or part == "__version__", name
            thing = getattr(thing, part, None) or import_module(f"{thing.__name__}.{part}")


def test_theory_says_what_each_folder_is_for():
    folders = {path.parent.name for path in (ROOT / "src" / "scvcell").glob("*/__init__.py")} - {"datasets"}
    assert len(folders) > 8
    head = (ROOT / "docs" / "theory.md").read_text().split("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", head, flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} == folders


def test_contributing_shows_the_layers_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["type"] == "layers"]
    there = {path.stem for path in (ROOT / "src" / "scvcell").iterdir()}
    checked = [set(re.findall(r"\w+", layer)) & there for layer in contract["layers"]]
    (shown,) = re.findall(r"```text\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    assert [set(re.findall(r"\w+", layer)) for layer in shown.split("->")] == checked


def test_each_section_of_benchmarks_has_a_verdict_and_a_small_table():
    _, *sections = re.split(r"^## ", (ROOT / "docs" / "benchmarks.md").read_text(), flags=re.MULTILINE)
    for section in sections[:-1]:
        title, verdict, *_ = section.split("\n\n")
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert title.endswith("?") or title.startswith("New"), title
        assert verdict.startswith("**"), title
        assert len(rows) <= 8, title
        assert rows[0].count("|") <= 6, title


def test_decisions_have_the_same_fields():
    fields = ("Question", "Choice", "Evidence", "Cost", "Would change our mind")
    entries = re.split(r"^### ", (ROOT / "docs" / "decisions.md").read_text(), flags=re.MULTILINE)[1:]
    assert [entry[:3] for entry in entries] == [f"D{i:02d}" for i in range(1, len(entries) + 1)]
    for entry in entries:
        assert re.findall(r"^\*\*(.+?)\.\*\*", entry, flags=re.MULTILINE) == list(fields), entry[:60]
        (notes,) = re.findall(r"^Notes: `(.+)`\.$", entry, flags=re.MULTILINE)
        assert (ROOT / "benchmarks" / "notes" / notes).exists()
