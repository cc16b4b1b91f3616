"""``import scvcell`` costs next to nothing, and every public name resolves."""

import importlib
import json
import resource
import subprocess
import sys

import pytest

import scvcell

HEAVY = (
    "torch",
    "scvi",
    "lightning",
    "scanpy",
    "spatialdata",
    "anndata",
    "mudata",
    "pandas",
    "numpy",
    "matplotlib",
    "sklearn",
)

PROBE = f"""
import json, resource, sys
def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime
start = cpu()
import scvcell
spent = cpu() - start
print(json.dumps({{"spent": spent, "heavy": [m for m in {HEAVY!r} if m in sys.modules], "version": scvcell.__version__,
                  "dir": dir(scvcell)}}))
"""


@pytest.fixture(scope="module")
def probe():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_nothing_heavy_is_imported(probe):
    assert not {"torch", "scvi", "spatialdata", "scanpy", "lightning"} & set(probe["heavy"])


def test_import_takes_less_than_half_a_second_of_cpu(probe):
    assert probe["spent"] < 0.5
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > 0


def test_dir_names_the_surface_without_importing_it(probe):
    assert {"CSL", "TrainConfig", "Weights", "cite", "datasets", "measure", "pl", "pp", "risk", "testing", "tl"} <= set(
        probe["dir"]
    )
    assert probe["version"] == scvcell.__version__


@pytest.mark.parametrize("name", scvcell.__all__)
def test_lazy_names_resolve(name):
    assert getattr(scvcell, name) is not None


@pytest.mark.parametrize(
    "module", ["datasets", "measure", "model", "objective", "pl", "pp", "risk", "score", "testing", "tl"]
)
def test_public_names_of_modules_resolve_and_are_documented(module):
    package = importlib.import_module(f"scvcell.{module}")
    assert package.__doc__
    for name in package.__all__:
        item = getattr(package, name)
        assert callable(item) is False or item.__doc__, f"{module}.{name}"


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'scvcell' has no attribute 'fit'"):
        _ = scvcell.fit


def test_plots_and_verbs_of_the_issue_exist():
    for verb in ("fit", "embed", "translate", "transfer_labels", "modality_information", "alignment_report"):
        assert verb in scvcell.tl.__all__
    for plot in ("embedding", "history", "translation", "calibration", "alignment", "modality_information"):
        assert plot in scvcell.pl.__all__


def test_the_package_is_typed():
    from importlib.resources import files

    assert files("scvcell").joinpath("py.typed").is_file()


def test_tqdm_is_first_imported_where_its_warning_is_caught():
    code = "import sys, scvcell; scvcell.TrainConfig; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    names = done.stdout.split()
    assert names.index("tqdm.auto") < names.index("scvcell._calm") < min(map(names.index, ("anndata", "scvi", "torch")))
