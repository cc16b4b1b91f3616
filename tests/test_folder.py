"""A folder that is replaced as a whole: claimed, written, read, damaged, and left by a writer that was killed."""

import hashlib
import subprocess
import sys

import pytest

from scvcell import _folder

KILLED = """
import os, signal, sys
from pathlib import Path
from scvcell import _folder
at, count = int(sys.argv[2]), [0]
def counted(function):
    def call(*args, **options):
        count[0] += 1
        if count[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*args, **options)
        return found
    return call
Path.replace, Path.unlink, os.fsync = map(counted, (Path.replace, Path.unlink, os.fsync))
write = lambda file: file.write(b"new" * 1000)
_folder.write(Path(sys.argv[1]), {"n": 2}, {"a.npz": write, "b.npz": write}, plain=str)
print(count[0])
"""


def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_save_clears(tmp_path):
    def read():
        about, files = _folder.read(tmp_path)
        assert {raw == files["a.npz"] for raw in files.values()} == {True}
        assert files["a.npz"] == {1: b"old", 2: b"new" * 1000}[about["n"]]
        return about["n"]

    def old():
        files = {name: lambda file: file.write(b"old") for name in ("a.npz", "b.npz")}
        _folder.write(tmp_path, {"n": 1}, files, plain=str)
        assert {path.name for path in tmp_path.iterdir()} == {"model.json", "a.npz", "b.npz"}

    found = []
    for at in range(1, 40):
        old()
        done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(at)], capture_output=True, text=True)
        found.append(read())
        if done.returncode == 0:
            break
    assert done.returncode == 0
    assert found == sorted(found)
    assert set(found) == {1, 2}
    old()


def test_readers_and_writers_beside_each_other(tmp_path):
    code = """
import sys
from pathlib import Path
from scvcell import _folder
for i in range(60):
    text = f"{sys.argv[2]}{i}".encode() * 50
    _folder.write(Path(sys.argv[1]), {"text": text.decode()},
                  {name: lambda file: file.write(text) for name in ("a.npz", "b.npz")}, plain=str)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path, "x"], check=True)
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path, name]) for name in "yz"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        about, files = _folder.read(tmp_path)
        assert set(files.values()) == {about["text"].encode()}
        reads += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 20
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "a.npz", "b.npz"}


@pytest.fixture
def folder(tmp_path):
    """A folder with one file of ours."""
    about = {"class": "X", "scvcell": "0", "registry": {}}
    _folder.write(tmp_path / "m", about, {"a.npz": lambda file: file.write(b"one")}, plain=str)
    return tmp_path / "m"


def test_what_is_written_is_read(folder):
    about, files = _folder.read(folder)
    assert files == {"a.npz": b"one"}
    assert about["class"] == "X"
    assert about["files"]["a.npz"] == {"bytes": 3, "sha256": hashlib.sha256(b"one").hexdigest()}
    assert _folder.unchanged(about)
    assert not _folder.unchanged({**about, "class": "Y"})


def test_a_folder_is_claimed_where_it_is_free_or_ours(folder, tmp_path):
    assert _folder.claim(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert not (tmp_path / "new").exists(), "nothing is made before there is something to write"
    with pytest.raises(FileExistsError, match="exists already"):
        _folder.claim(folder)
    assert _folder.claim(folder, overwrite=True) == folder
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no scvcell model"):
        _folder.claim(tmp_path / "theirs", overwrite=True)
    with pytest.raises(NotADirectoryError, match=r"notes\.txt is a file"):
        _folder.writable(tmp_path / "theirs" / "notes.txt" / "m")


@pytest.mark.parametrize("content", [b"two", b"onex", b""])
def test_a_file_that_is_not_what_was_written_is_named(folder, content, monkeypatch):
    monkeypatch.setattr(_folder, "SECONDS", 0)
    (folder / "a.npz").write_bytes(content)
    with pytest.raises(_folder.NotWhole, match=r"a.npz is damaged"):
        _folder.read(folder)
    (folder / "a.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"a.npz is missing. Save one"):
        _folder.read(folder)


def test_prose_of_others_stays_and_is_not_read(folder):
    def save(text):
        _folder.write(folder, {"class": "X"}, {}, plain=str, prose={"A.md": lambda file: file.write(text)})
        about, files = _folder.read(folder)
        assert files == {}
        assert _folder.unchanged(about)
        return (folder / "A.md").read_bytes(), list(about["prose"])

    assert save(b"one") == (b"one", ["A.md"])
    assert save(b"two") == (b"two", ["A.md"])
    (folder / "A.md").write_bytes(b"mine")
    assert save(b"three") == (b"mine", [])
    assert save(b"four") == (b"mine", []), "also the next time"
    (folder / "A.md").unlink()
    assert save(b"five") == (b"five", ["A.md"])


def test_a_failed_write_leaves_what_was_there_and_no_rubbish(folder):
    def fail(file):
        file.write(b"half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        _folder.write(folder, {"n": 2}, {"a.npz": lambda file: file.write(b"two"), "b.npz": fail}, plain=str)
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "model.json"]
    assert _folder.read(folder)[1] == {"a.npz": b"one"}


def test_files_that_a_killed_writer_left_unnamed_are_found_and_settled(folder):
    entry = _folder.read(folder)[0]["files"]["a.npz"]
    hidden = folder / f".a.npz-{entry['sha256'][:16]}"
    (folder / "a.npz").rename(hidden)
    assert _folder.read(folder)[1] == {"a.npz": b"one"}
    _folder._settle(folder)
    assert not hidden.exists()
    assert (folder / "a.npz").read_bytes() == b"one"
