"""Numbers as a reader wants them: a real minus sign, few digits, intervals, and a dash where there is none."""

import math
from typing import Any

MINUS = "−"
NOTHING = "–"


def finite(value: Any) -> float | None:
    """``value`` as a float; None for NULL, NaN, infinities and anything that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def fixed(value: float, digits: int = 2, sign: bool = False) -> str:
    """``value`` with so many decimals; zero never carries a minus."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """Always with its sign: correlations and differences. One digit more where rounding would hide the side of zero."""
    text, finer = fixed(value, digits, sign=True), fixed(value, digits + 1, sign=True)
    hidden = not text.strip("+0.") and finer.strip("+0.")
    return finer if hidden else text


def significant(value: float, digits: int = 3, sign: bool = False) -> str:
    """So many significant digits, in plain notation from 1e-4 up to a million."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return (
            f"{value:{'+' if sign else ''}.{digits - 1}e}".replace("e+0", "e").replace("e-0", "e-").replace("-", MINUS)
        )
    # Rounding first: 9.996 has one decimal less than its magnitude suggests.
    magnitude = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return fixed(value, max(0, digits - 1 - magnitude), sign)


def percent(share: float, digits: int = 1) -> str:
    """A share of one, in percent."""
    return f"{fixed(100 * share, digits)} %"


def points(difference: float, digits: int = 2) -> str:
    """A difference of two shares, in percentage points."""
    return signed(100 * difference, digits)


def bracket(low: str, high: str) -> str:
    """The ends of a 95 % interval."""
    return f"[{low}, {high}]"


def p_value(p: float) -> str:
    """``p = 1.4e−4``, or ``p < 1e−15`` where more digits would say nothing."""
    if p < 1e-15:
        return f"p < 1e{MINUS}15"
    return f"p = {significant(p, 2)}"


def joined(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def cell(value: Any) -> str:
    """One cell of a table: four significant digits, a dash for NULL and NaN."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value).replace("-", MINUS)
    if isinstance(value, float):
        if math.isinf(value):
            return "∞" if value > 0 else f"{MINUS}∞"
        if math.isnan(value):
            return NOTHING
        return cell(int(value)) if value.is_integer() and abs(value) < 1e4 else significant(value, 4)
    return str(value)
