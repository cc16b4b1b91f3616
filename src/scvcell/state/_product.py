"""Products of many rows with few columns, taken on a GPU where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import scipy.sparse as sp
import torch

from scvcell.measure import csr

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MULTIPLYING = ("cuda",)
"""Types of devices that multiply sparse rows; for others scipy does."""


def on[T: NDArray[np.generic] | sp.spmatrix](rows: T, device: torch.device) -> T | Product:
    """Rows, dense or csr, that are multiplied on a device; the rows themselves where it is none of `MULTIPLYING`."""
    return Product.of(rows, device) if device.type in MULTIPLYING else rows


class Product:
    """Rows on a device, or those turned: what ``@`` gives is an array on the host."""

    def __init__(self, values: Tensor, *, turned: bool = False) -> None:
        self.values, self.turned = values, turned

    @classmethod
    def of(cls, rows: NDArray[np.generic] | sp.spmatrix, device: torch.device) -> Self:
        """Rows, dense or csr, as float32."""
        if not sp.issparse(rows):
            return cls(torch.from_numpy(np.asarray(rows, dtype=np.float32)).to(device))
        rows = sp.csr_matrix(rows)
        parts = rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(np.float32)
        starts, columns, values = (torch.from_numpy(part).to(device) for part in parts)
        return cls(csr(starts, columns, values, rows.shape))

    @property
    def T(self) -> Product:
        """The rows as columns."""
        return Product(self.values, turned=not self.turned)

    def __matmul__(self, other: NDArray[np.float32]) -> NDArray[np.float32]:
        values = self.values
        if self.turned:
            values = values.mT.to_sparse_csr() if values.layout == torch.sparse_csr else values.mT
        return (values @ torch.from_numpy(np.ascontiguousarray(other)).to(values.device)).cpu().numpy()
