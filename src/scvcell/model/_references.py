"""References of everything that a fitted model used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scvcell.model._fitted import Fitted

BASE = (
    "Hu and Chen, Insights into Artificial Intelligence Virtual Cells",
    "Gayoso et al., A Python library for probabilistic analysis of single-cell omics data, Nat Biotechnol 2022",
    "Virshup et al., The scverse project provides a computational ecosystem for single-cell omics, Nat Biotechnol 2023",
)


def references(model: Fitted) -> list[str]:
    """References to cite for a model: the framework, and the source of every operator and term it used.

    Parameters
    ----------
    model
        A model, fitted or not.
    """
    used = [model.operator(name).reference for name in model.schema.modalities]
    if model.weights.align and len(used) > 1:
        used.append("van den Oord et al., Representation learning with contrastive predictive coding, 2018")
        used.append(
            "Wu and Goodman, Multimodal generative models for scalable weakly-supervised learning, NeurIPS 2018"
        )
    if model.matched:
        used.append(
            "Haghverdi et al., Batch effects in single-cell RNA-sequencing data are corrected by matching mutual "
            "nearest neighbors, Nat Biotechnol 2018"
        )
    if model.matched and model.alignment == "unpaired, guidance graph":
        used.append(
            "Chen et al., Integration of spatial and single-cell data across modalities with weakly linked features, "
            "Nat Biotechnol 2024"
        )
    if model.edges is not None:
        used.append(
            "Cao and Gao, Multi-omics single-cell data integration and regulatory inference with graph-linked "
            "embedding, Nat Biotechnol 2022"
        )
    used += [reference for part in model.parts.values() for reference in part.references]
    return list(dict.fromkeys([*BASE, *filter(None, used)]))
