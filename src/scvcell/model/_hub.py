"""Where a model is: a folder of this machine, or a repository of the Hugging Face hub that is fetched once."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from scvcell import _folder
from scvcell._folder import REPOSITORY

FETCHED = ("*.json", "*.pt", "*.npz", "README.md")
"""Files of a repository that can be a model's; others stay where they are, however large."""


def located(where: str | Path) -> Path:
    """Folder of a model: the folder `where` if there is one, else the copy of the hub's repository of that name.

    Parameters
    ----------
    where
        Folder, or text of the form ``"owner/name"`` or ``"owner/name@revision"``.

    Raises
    ------
    FileNotFoundError
        If neither is there, or huggingface_hub is not installed.
    PermissionError
        If the repository asks for a login.
    ConnectionError
        If the hub cannot be reached and there is no copy.
    """
    asked = REPOSITORY.fullmatch(where) if isinstance(where, str) else None
    if asked is None or Path(where).exists():
        return Path(where)
    try:
        import huggingface_hub
    except ImportError as error:
        raise FileNotFoundError(
            f"No folder {str(where)!r} here. If it is a model of the Hugging Face hub, install what fetches it: "
            "pip install 'scvcell[hub]'. Else give the folder that `model.save` wrote."
        ) from error
    name, revision = asked["name"], asked["revision"]
    try:
        found = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(FETCHED),
            library_name="scvcell",
            library_version=version("scvcell"),
        )
    except (OSError, ValueError) as error:
        raise _explained(where, error) from error
    if not (Path(found) / _folder.MANIFEST).is_file():
        raise FileNotFoundError(
            f"{where} of the hub is no scvcell model: it has no {_folder.MANIFEST}. Models have the library name "
            "scvcell there: https://huggingface.co/models?library=scvcell"
        )
    return Path(found)


def _explained(where: str | Path, error: Exception) -> OSError:
    """What went wrong at the hub, and what to do."""
    from huggingface_hub import errors

    nowhere = f"No folder {str(where)!r} here, and "
    if isinstance(error, errors.GatedRepoError):
        return PermissionError(
            f"{where} of the hub asks for its terms to be accepted: do so on its page, then run `hf auth login`."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(
            f"{nowhere}the hub has no such model, or not for you. Check the name; if the model is private, run "
            "`hf auth login`."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(
            f"The model is on the hub, but has no such revision: {where}. Check it, or leave it out."
        )
    if isinstance(error, errors.HFValidationError):
        return FileNotFoundError(f"{nowhere}it is no name that the hub knows: {error}")
    return ConnectionError(
        f"{nowhere}the hub cannot be reached, nor was this model fetched before ({type(error).__name__}). Connect and "
        f"try again, or fetch it elsewhere with `hf download {str(where).partition('@')[0]} --local-dir FOLDER` and "
        "give that folder."
    )
