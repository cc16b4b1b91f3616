"""Models of the Hugging Face hub: sent to a server that speaks its protocol, and fetched from there."""

import base64
import hashlib
import json
import re
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml

import scvcell
from scvcell import CSL
from scvcell.errors import Damaged
from scvcell.model import _hub, _store

PAGE = Path(__file__).parents[2] / "docs" / "sharing.md"


class Hub(ThreadingHTTPServer):
    """What huggingface_hub asks of the hub: make a repository, send files to it, list them and fetch them."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits = {}
        """By repository, by commit and by branch or tag: content by name of the file."""
        self.gated = set()
        self.sent = []
        """Names of the files that were fetched."""
        self.url = f"http://127.0.0.1:{self.server_port}"

    def commit(self, name, files, branch="main"):
        sha = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits.setdefault(name, {}).update({sha: files, branch: files})
        return sha


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *args):
        """Tests are silent."""

    def answer(self, body, status=200, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": len(raw), **headers}.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def refuse(self, code, status=404):
        self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

    def found(self, name, revision):
        """Commit and files of a repository, or None where that was refused."""
        kept = self.server.commits.get(name)
        if name in self.server.gated:
            self.refuse("GatedRepo", 403)
        elif kept is None:
            self.refuse("RepoNotFound")
        elif revision not in kept:
            self.refuse("RevisionNotFound")
        else:
            (sha,) = [sha for sha, files in kept.items() if len(sha) == 40 and files is kept[revision]]
            return sha, kept[revision]
        return None

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        if path[:2] == ["api", "models"]:
            name, what, revision = "/".join(path[2:4]), path[4], "/".join(path[5:])
            if found := self.found(name, revision):
                sha, files = found
                tree = [
                    {"type": "file", "path": file, "size": len(raw), "oid": hashlib.sha1(raw).hexdigest()}
                    for file, raw in files.items()
                ]
                info = {"_id": "1", "id": name, "sha": sha, "private": False, "tags": [], "downloads": 0, "likes": 0}
                self.answer(tree if what == "tree" else {**info, "siblings": []})
        else:
            name, _, revision, *file = "/".join(path[:2]), *path[2:]
            if found := self.found(name, revision):
                sha, files = found
                raw = files["/".join(file)]
                if self.command == "GET":
                    self.server.sent.append("/".join(file))
                self.answer(raw, ETag=f'"{hashlib.sha1(raw).hexdigest()}"', X_Repo_Commit=sha)

    do_HEAD = do_GET

    def body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        raw = b""
        while size := int(self.rfile.readline(), 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    def do_POST(self):
        path, raw = urlsplit(self.path).path.strip("/").split("/"), self.body()
        if path == ["api", "repos", "create"]:
            asked = json.loads(raw)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.commit(name, {})
            self.answer({"url": f"{self.server.url}/{name}", "id": name})
        elif path == ["api", "validate-yaml"]:
            header = json.loads(raw)["content"].split("---\n")[1]
            good = isinstance(yaml.safe_load(header).get("tags"), list)
            self.answer({"errors": [] if good else [{"message": "no tags"}], "warnings": []}, 200 if good else 400)
        elif path[4] == "preupload":
            names = [file["path"] for file in json.loads(raw)["files"]]
            self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        else:
            lines = [json.loads(line) for line in raw.splitlines()]
            files = {o["value"]["path"]: base64.b64decode(o["value"]["content"]) for o in lines if o["key"] == "file"}
            name = "/".join(path[2:4])
            sha = self.server.commit(name, {**self.server.commits[name]["main"], **files})
            self.answer({"success": True, "commitOid": sha, "commitUrl": f"{self.server.url}/{name}/commit/{sha}"})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of our own, a cache of our own, and a folder in which nothing is called as the models there."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def stored(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_sent_and_fetched_it_is_the_model(hub, small, tmp_path):
    import huggingface_hub

    folder = small.model.save(tmp_path / "atlas", license="cc-by-4.0")
    api = huggingface_hub.HfApi(endpoint=hub.url)
    api.create_repo("lab/atlas")
    api.upload_folder(repo_id="lab/atlas", folder_path=folder)
    assert hub.commits["lab/atlas"]["main"] == stored(folder)
    again = CSL.load("lab/atlas")
    np.testing.assert_array_equal(again.get_latent_representation(small.mdata), small.mdata.obsm["X_csl"])
    with pytest.raises(FileExistsError, match="exists already"):
        again.save(_hub.located("lab/atlas"))


def test_only_files_that_can_be_the_models_are_fetched_and_once(hub, small, tmp_path):
    others = {"cells.h5ad": b"large", "model.pkl": b"no", "adata.pickle": b"no", ".gitattributes": b"*.pt lfs"}
    hub.commit("lab/atlas", {**stored(small.model.save(tmp_path / "m")), **others})
    CSL.load("lab/atlas")
    first = set(hub.sent)
    assert first == {"model.json", "model.pt", "split.npz", "calibration.npz", "README.md"}
    CSL.load("lab/atlas", small.mdata)
    assert len(hub.sent) == len(first)


def test_revisions(hub, small, tmp_path):
    ours = stored(small.model.save(tmp_path / "m"))
    sha = hub.commit("lab/atlas", ours, branch="v1.0")
    hub.commit("lab/atlas", {**ours, "model.json": b"{}"})
    for revision in ("v1.0", sha):
        assert CSL.load(f"lab/atlas@{revision}").schema == small.model.schema
    with pytest.raises(ValueError, match="holds a None model"):
        CSL.load("lab/atlas")
    with pytest.raises(FileNotFoundError, match=r"no such revision: lab/atlas@v2"):
        CSL.load("lab/atlas@v2")


def test_without_the_hub_the_copy_does(hub, small, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub.commit("lab/atlas", stored(small.model.save(tmp_path / "m")))
    CSL.load("lab/atlas")
    hub.shutdown()
    hub.server_close()
    assert CSL.load("lab/atlas").schema == small.model.schema
    with pytest.raises(ConnectionError, match=r"cannot be reached.*`hf download lab/other --local-dir FOLDER`"):
        CSL.load("lab/other@v1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert CSL.load("lab/atlas").schema == small.model.schema


def test_what_is_not_there_or_not_for_all(hub):
    with pytest.raises(FileNotFoundError, match=r"No folder 'lab/nothing' here, and the hub has no such model"):
        CSL.load("lab/nothing")
    hub.commit("lab/secret", {"model.json": b"{}"})
    hub.gated.add("lab/secret")
    with pytest.raises(PermissionError, match=r"lab/secret of the hub asks for its terms.*hf auth login"):
        CSL.load("lab/secret")
    hub.commit("lab/scvi", {"model.pt": b"pickled"})
    with pytest.raises(FileNotFoundError, match=r"lab/scvi of the hub is no scvcell model: it has no model.json"):
        CSL.load("lab/scvi")
    with pytest.raises(FileNotFoundError, match=r"no name that the hub knows"):
        CSL.load("lab/a--b..c")


def test_the_lines_of_the_page_on_sharing(hub, small):
    save, publish, use, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    atlas, query = small.mdata.copy(), small.mdata["rna"][::4, ::-2].copy()
    atlas.obs["cell_type"] = atlas.obs["celltype"]
    query.obs["batch"] = "new"
    names = {"scvcell": scvcell, "model": small.model, "atlas": atlas, "query": query}
    for code in (save, publish):
        exec(code, names)
    shutil.rmtree("blood-atlas")
    exec(use, names)
    assert names["mapped"].schema.batches == [*small.model.schema.batches, "new"]
    assert (query.obs["cell_type_transferred"].astype(str) == query.obs["celltype"].astype(str)).mean() > 0.7
    assert 0 < query.obs["cell_type_transferred_trusted"].mean() <= 1


def test_the_page_on_sharing_has_a_row_for_this_layout():
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, _store.FORMAT + 1))


def test_a_file_that_was_changed_on_the_hub_is_named(hub, small, tmp_path):
    ours = stored(small.model.save(tmp_path / "m"))
    hub.commit("lab/atlas", {**ours, "model.pt": ours["model.pt"][:-1] + b"x"})
    with pytest.raises(Damaged, match=r"model\.pt is damaged"):
        CSL.load("lab/atlas")


def test_a_folder_of_that_name_wins(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    small.model.save("lab/atlas")
    assert CSL.load("lab/atlas").schema == small.model.schema


def test_without_huggingface_hub_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"No folder 'lab/atlas@v1' here.*pip install 'scvcell\[hub\]'"):
        CSL.load("lab/atlas@v1")


@pytest.mark.parametrize(
    "where", ["atlas", "./lab/atlas", "/lab/atlas", "a/b/c", "lab/", "../lab", "lab\\atlas", "a/b c"]
)
def test_what_can_only_be_a_folder_is_not_asked_for(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert _hub.located(where) == Path(where)
    assert _hub.located(Path("lab/atlas")) == Path("lab/atlas")
