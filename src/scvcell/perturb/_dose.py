"""Doses as numbers with units: read, written, rounded and converted."""

from __future__ import annotations

import math
import re

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_DOSE = re.compile(rf"\s*({_NUMBER})\s*((?:[^\d\s.+-].*?)?)\s*")
_UNIT = re.compile(r"([fpnuµμm]?)(M|g/m?[lL])")
_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0}


def number(what: str, value: object) -> float:
    """A finite number that is not negative, to the six digits that are shown: what is listed can be asked for."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a number, not {value!r}.") from None
    if not math.isfinite(found) or found < 0:
        raise ValueError(f"{what} must be a number from 0 on, not {value!r}.")
    return float(f"{found:.6g}")


def dose(what: str, value: object) -> tuple[float, str]:
    """A dose and its unit, of a number or of text such as ``"10 uM"``; without a unit it is ``""``."""
    found = _DOSE.fullmatch(value) if isinstance(value, str) else None
    return (number(what, value), "") if found is None else (number(what, found[1]), found[2])


def split_doses(text: str, separator: str) -> list[str]:
    """Doses that are joined by a separator, which may also stand in an exponent (1e+3) or a unit (ng/ml)."""
    return [part.strip() for part in re.split(rf"(?<![\d.][eE]){re.escape(separator)}(?=\s*{_NUMBER})", text)]


def written(value: float, unit: str = "") -> str:
    """A dose as `dose` reads it."""
    return f"{value:g}".replace("e+", "e") + f" {unit}" * bool(unit)


def convert(value: float, unit: str, to: str) -> float:
    """A dose in another unit.

    Raises
    ------
    ValueError
        If one cannot be converted into the other.
    """
    if unit == to:
        return value
    (kind, size), (other, per) = _scale(unit), _scale(to)
    if not kind or kind != other:
        raise ValueError(f"Doses in {unit!r} cannot be converted to {to!r}.")
    return number("A dose", value * size / per)


def _scale(unit: str) -> tuple[str, float]:
    """Kind of a unit and its size: of moles or grams per litre; no kind where it is another."""
    found = _UNIT.fullmatch(unit)
    if found is None:
        return "", 1.0
    per_ml = 1e3 if found[2].lower() == "g/ml" else 1.0
    return found[2][0], _PREFIX[found[1]] * per_ml
