"""The model card: what a saved model is, what it was learned from, how good it is, and where not to trust it."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from scvcell._stats import Conformal
from scvcell.model._gain import MIN_STATE_BITS, STATE
from scvcell.model._references import references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scvcell.model._fitted import Fitted

CARD = "README.md"
LEVEL = 0.9
"""Level of the intervals that are told of."""
MAX_WIDTH_CELLS = 200
"""Cells of the pool whose intervals give the mean width."""
MAX_CATEGORIES = 30
"""Categories of a covariate that are named."""
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
TASKS = {"response": "perturbation-prediction", "drift": "velocity"}
"""What the model can be asked, by the part that answers."""
SPLIT = {"train": "trained on", "validation": "held out to say when to stop", "calibration": "held out for intervals"}

TEXT = """\
---
{header}---

# {title}

This model gives every cell one state of {n_latent} numbers, whichever of its assays were measured. It was saved by
[scvcell](https://github.com/scvcell/scvcell) {version} and has {parameters:,} parameters. What stands below was counted
or measured. Say here what no file tells: species, tissue, disease, and where the data are.

## Use

```python
import scvcell

model = scvcell.CSL.load("{where}")  # a folder, or "owner/name" of the hub; nothing is unpickled
{use}
```

## Data

{data}

## How good it is

{figures}

## Limits

{limits}

## Licence

{license}

## Citation

{citation}
"""


def check_license(license: str | None) -> None:
    """Refuse what is no identifier of a licence, as the hub knows them."""
    if license is not None and not (isinstance(license, str) and LICENSE.fullmatch(license)):
        raise ValueError(
            f"license takes a short identifier in lower case, such as 'cc-by-4.0', 'mit' or 'other', not {license!r}. "
            "The hub lists them: https://huggingface.co/docs/hub/repositories-licenses"
        )


def card(model: Fitted, license: str | None = None) -> str:
    """Model card in Markdown with the header that the Hugging Face hub reads.

    It has counts and figures, names of assays, columns, operators, covariates' categories and targets; no names of
    cells or batches.

    Parameters
    ----------
    model
        Trained model.
    license
        Identifier of its licence.
    """
    names = list(model.schema.modalities)
    tasks = ["cell-embedding", "label-transfer"]
    tasks += ["modality-translation"] if _calibrated(model) else []
    tasks += [TASKS[part] for part in model.parts if part in TASKS]
    header: dict[str, Any] = {"library_name": "scvcell"} | ({} if license is None else {"license": license})
    header["tags"] = [
        *("biology", "genomics", "single-cell"),
        *(f"model_cls_name:{type(model).__name__}", f"scvcell_version:{version('scvcell')}"),
        *(f"modality:{name}" for name in names),
        *tasks,
    ]
    return TEXT.format(
        header=yaml.safe_dump(header, sort_keys=False, allow_unicode=True),
        title=f"{type(model).__name__} of {_listed(map(_plain, names))}",
        n_latent=model.n_latent,
        version=version("scvcell"),
        parameters=sum(p.numel() for p in model.network.parameters()),
        where="PATH",
        use=_use(model),
        data="\n".join(_data(model)),
        figures="\n".join(_figures(model)),
        limits="\n".join(f"- {line}" for line in _limits(model)),
        license=f"`{license}`." if license else "None was given yet: say under which terms others may use the model.",
        citation="\n".join(f"- {line}" for line in references(model)),
    )


def _use(model: Fitted) -> str:
    """Lines that map a query data set."""
    known = "mapped = model.load_query_data(query)  # learns the batches it does not know; known cells stay in place"
    batches = [known] if model.schema.batch_key else ["mapped = model"]
    return "\n".join(
        [*batches, 'scvcell.tl.transfer_labels(query, mapped, key="cell_type", reference=atlas)  # labels, with doubts']
    )


def _data(model: Fitted) -> Iterator[str]:
    schema = model.schema
    yield "| assay | features | operator | what it says |\n|---|---|---|---|"
    for name, spec in schema.modalities.items():
        equation = _code(model.operator(name).equation)
        yield f"| {_code(name)} | {len(spec.features):,} | {_code(spec.operator)} | {equation} |"
    cells = [f"{len(model.split_[part]):,} {what}" for part, what in SPLIT.items() if model.split_.get(part)]
    yield f"\n- Cells: {', '.join(cells) or 'not known'}."
    if schema.batch_key is not None:
        yield f"- Batches: {len(schema.batches):,}, by the obs column {_code(schema.batch_key)}."
    for key, categories in schema.categorical.items():
        more = ", ..." if len(categories) > MAX_CATEGORIES else ""
        yield f"- Covariate {_code(key)}: {', '.join(map(_code, categories[:MAX_CATEGORIES]))}{more}."
    for key in schema.continuous:
        yield f"- Covariate {_code(key)}: a number."
    if model.alignment:
        yield f"- How the assays are held together: {model.alignment}."
    for name, part in model.parts.items():
        if name != "calibration":
            yield f"- Learned beside the states: {_plain(repr(part))}"


def _figures(model: Fitted) -> Iterator[str]:
    told = {name: value for name, value in model.gain.items() if name != STATE}
    if not told:
        yield "What the states tell of held-out cells was not measured by the version that fitted the model."
    else:
        held = "held-out cells" if model.split_.get("validation") else "the training cells (none were held out)"
        yield f"The state of a cell holds {model.gain.get(STATE, np.nan):.1f} bits. Measured on {held}:\n"
        yield "| assay | gain over the mean profile, nats per cell | trusted |\n|---|---|---|"
        for name, value in told.items():
            yield f"| {_code(name)} | {value:.2f} | {'yes' if model.trusts(name) else 'no'} |"
    widths = _translations(model)
    if widths:
        yield (
            "\nTranslations, by cells with both assays that no step of training saw. The width is that of the median "
            "feature; that of an interval which knows nothing of the cell is 1.\n\n"
            f"| from > to | calibration cells | coverage of {LEVEL:.0%} intervals | width |\n|---|---|---|---|"
        )
        yield from widths
    yield (
        "\nHow it does where cells, donors or actions are new is what a risk report measures "
        "(`scvcell.risk.evaluate`); one can be put beside this card."
    )


def _translations(model: Fitted) -> list[str]:
    """Rows of the table of calibrated translations."""
    rows = []
    for name, arrays in sorted(_calibrated(model).items()):
        found = Conformal.from_arrays(arrays)
        some = np.linspace(0, len(found.pool) - 1, min(len(found.pool), MAX_WIDTH_CELLS)).astype(int)
        half, _ = found.halfwidth(found.pool[some], LEVEL)
        width = found.relative_width(half, LEVEL)
        known = width[np.isfinite(width)]
        low, high = found.expected(LEVEL)
        typical = f"{np.median(known):.2f}" if len(known) else "not known"
        rows.append(f"| {_code(name)} | {found.cells:,} | {low:.0%} to {high:.0%} | {typical} |")
    return rows


def _calibrated(model: Fitted) -> dict[str, dict[str, Any]]:
    """Arrays of the calibrated translations, by name."""
    return getattr(model.parts.get("calibration"), "arrays", {})


def _limits(model: Fitted) -> Iterator[str]:
    yield (
        "It takes raw counts, or whatever its operators say, as they were measured. Normalised values are refused. "
        "Genes that a query lacks count as not measured."
    )
    if model.schema.batch_key is not None:
        yield "Cells of other batches than those it knows need `load_query_data` first."
    if not model.trusts():
        yield (
            f"**Nothing it says is trusted**: the state of a cell holds less than {MIN_STATE_BITS:g} bit, so every "
            "cell looks like every other."
        )
    for name in model.schema.modalities:
        if model.trusts() and not model.trusts(name):
            yield f"**Predictions of {_code(name)} are not trusted**: the mean profile does as well."
        if name in model.absent:
            yield f"{_code(name)} was not measured in {len(model.absent[name]):,} batches; no answer there is trusted."
    if model.alignment == "unpaired":
        yield "**Its assays share no cell and nothing links them**: do not compare cells across assays."
    if len(model.schema.modalities) > 1 and not _calibrated(model):
        yield "No translation is calibrated: intervals are NaN and nothing that is translated is trusted."
    if model.interrupted:
        yield "Its training was interrupted, so it may be less exact than it could be."
    yield (
        "Every answer says of each cell whether to trust it (`obs['trusted']`, `_trusted`). What is far from the cells "
        "it was fitted to is marked so; what looks near but is of another tissue or species is not found out."
    )
    yield "It was made for research, not for decisions about patients."


def _plain(text: str) -> str:
    """Text on one line that Markdown does not read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return "`" + " ".join(str(text).split()).replace("`", "'").replace("|", "\\|") + "`"


def _listed(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
