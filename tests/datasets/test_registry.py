import functools
import hashlib
import http.server
import threading
from dataclasses import replace
from importlib.resources import files

import pytest

from scvcell.datasets import _registry, citation, registry
from scvcell.datasets._registry import DATA_DIR, Source, entries, locate


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """A machine that holds no data set."""
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.delenv(DATA_DIR, raising=False)
    return tmp_path


def place(path, content=b"some bytes"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def register(monkeypatch, **changes):
    item = replace(entries()["snareseq_mouse_cortex"], name="toy", **changes)
    monkeypatch.setattr(_registry, "entries", lambda: {"toy": item})


def test_registry_lists_every_loader(empty_machine):
    table = registry()
    assert list(table.index[table["available"]]) == ["pbmc_mosaic"]
    import scvcell.datasets as module

    for name, row in table.iterrows():
        assert callable(getattr(module, name))
        assert row["url"].startswith("https://")
        assert row["citation"] == citation(name)
        assert row["licence"]
        assert row["builder"]
        assert row["checked"] in ("file", "values", "shape")
        item = entries()[name]
        served = item.embedded or all((source.url or "").startswith("https://") for source in item.files.values())
        assert served or row["checked"] == "file", "what is served nowhere as it is has a hash"
        assert all(len(source.sha256) == 64 for source in item.files.values() if source.sha256)
        assert name == "pancreas_velocity" or row["checked"] != "shape"


def test_files_may_lie_in_a_folder_of_another_name(empty_machine, monkeypatch):
    digest = place(empty_machine / "cache" / "toy_folder" / "a.h5mu")
    register(monkeypatch, folder="toy_folder", files={"a.h5mu": Source(sha256=digest)})
    assert locate("toy", "a.h5mu").parent.name == "toy_folder"


def test_embedded_file_is_attributed():
    text = files("scvcell.datasets").joinpath("data/ATTRIBUTION.md").read_text()
    assert entries()["pbmc_mosaic"].files["pbmc_mosaic.h5mu"].sha256 in text
    assert "MIT" in text


def test_unknown_name_proposes_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'pbmc_mosaic'"):
        citation("pbmc_mosiac")


@pytest.mark.parametrize("folder", ["toy", "."])
@pytest.mark.parametrize("root", ["data", "cache"])
def test_found_in_either_root_with_or_without_folder(empty_machine, monkeypatch, root, folder):
    digest = place(empty_machine / root / folder / "a.h5mu")
    register(monkeypatch, files={"a.h5mu": Source(sha256=digest)})
    if root == "data":
        monkeypatch.setenv(DATA_DIR, str(empty_machine / "data"))
    assert locate("toy", "a.h5mu").read_bytes() == b"some bytes"


def test_data_dir_comes_before_the_cache(empty_machine, monkeypatch):
    digest = place(empty_machine / "data" / "a.h5mu")
    place(empty_machine / "cache" / "a.h5mu", b"other bytes")
    register(monkeypatch, files={"a.h5mu": Source(sha256=digest)})
    monkeypatch.setenv(DATA_DIR, str(empty_machine / "data"))
    assert locate("toy", "a.h5mu").parent.name == "data"


def test_missing_file_says_what_where_and_how(empty_machine, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", offline)
    monkeypatch.setenv(DATA_DIR, str(empty_machine / "nowhere"))
    with pytest.raises(FileNotFoundError) as caught:
        locate("snareseq_mouse_cortex", "GxC1.npz")
    message = str(caught.value)
    for part in (
        "no route to host",
        str(empty_machine / "nowhere" / "snareseq_mouse_cortex" / "GxC1.npz"),
        str(empty_machine / "cache" / "GxC1.npz"),
        entries()["snareseq_mouse_cortex"].files["GxC1.npz"].url,
        f"export {DATA_DIR}=",
    ):
        assert part in message


def test_other_content_is_refused(empty_machine, monkeypatch):
    found = place(empty_machine / "cache" / "toy" / "a.h5mu", b"truncated")
    register(monkeypatch, files={"a.h5mu": Source(sha256="0" * 64)})
    with pytest.raises(ValueError, match=f"expected SHA-256 {'0' * 64}, found {found}"):
        locate("toy", "a.h5mu")


def test_file_with_a_download_url_is_fetched_and_checked(empty_machine, monkeypatch):
    digest = place(empty_machine / "server" / "a.h5mu")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=empty_machine / "server")
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.h5mu"
        register(monkeypatch, files={"a.h5mu": Source(url, digest)})
        assert locate("toy", "a.h5mu").read_bytes() == b"some bytes"
        assert locate("toy", "a.h5mu").is_relative_to(empty_machine / "cache")
        register(monkeypatch, files={"b.h5mu": Source(url, "0" * 64)})
        with pytest.raises(ValueError, match="expected SHA-256"):
            locate("toy", "b.h5mu")
        server.shutdown()
