"""Every source file has a test of its own, in the same place."""

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "scvcell"

EXEMPT = {
    "__init__.py",  # the faces of folders hold no code; tests/test_import.py and tests/test_calm.py walk through them
    "_types.py",  # names of types
}


def mirror(source: Path) -> Path:
    """Where the test of a source file is, below the folder of tests."""
    return source.with_name(f"test_{source.name.removeprefix('_')}")


def test_every_source_file_has_a_mirror():
    sources = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.name not in EXEMPT]
    assert len(sources) > 100, "the source is where it is looked for"
    lacking = sorted(str(source) for source in sources if not (TESTS / mirror(source)).is_file())
    assert not lacking, f"{len(lacking)} source files have no tests/FOLDER/test_NAME.py: {', '.join(lacking)}"


def test_no_source_file_is_long():
    long = {
        str(path.relative_to(SOURCE)): n
        for path in SOURCE.rglob("*.py")
        if (n := len(path.read_text().split("\n"))) > 350
    }
    assert not long, f"split what holds a second concept: {long}"
