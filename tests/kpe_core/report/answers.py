"""Hand-made answers of the analyses, with the columns the SQL gives and the numbers a test cares about."""

from typing import Any

import pyarrow as pa

ALIKE = {"given_both": None, "within_class": None, "rho_displacement": 0.1, "rho_norm": 0.1}


def density(
    label: str = "a", estimator: str = "knn(k=5)", space: str = "data", n: int = 1000, **rho: Any
) -> dict[str, Any]:
    """A row of density_correlation: rho, low, high and, where given, given_norm with its ends."""
    given = {"given_norm": None, "given_norm_low": None, "given_norm_high": None}
    return {"run_label": label, "space": space, "estimator": estimator, "n": n, **ALIKE, **given, **rho}


def trend(label: str, quantity: str, n: int = 1000, **rho: Any) -> dict[str, Any]:
    """A row of trends."""
    given = {"given_norm": None, "given_norm_low": None, "given_norm_high": None}
    space = None if quantity == "memorized" else "classifier"
    return {"run_label": label, "space": space, "quantity": quantity, "n": n, **ALIKE, **given, **rho}


def quantiles(label: str = "a", score: float | None = 5.0, n: int = 5) -> list[dict[str, Any]]:
    """Rows of kpe_quantiles: score and margin rise by one from quantile to quantile; None: no semantics."""
    return [
        {
            "run_label": label,
            "quantile": q,
            "n": 200,
            "kpe": float(q),
            "score": None if score is None else score + q,
            "margin": None if score is None else score - 2 + q,
        }
        for q in range(1, n + 1)
    ]


def semantics(label: str = "a", space: str = "classifier") -> list[dict[str, Any]]:
    """Rows of semantics_by_tercile: score and margin rise by two from third to third."""
    return [
        {"run_label": label, "space": space, "quantity": name, "quantile": q, "n": 333, "mean": least + 2 * q, "sd": sd}
        for name, least, sd in (("score", 4.0, 1.5), ("margin", 2.0, 0.5))
        for q in (1, 2, 3)
    ]


def memorization(label: str = "a", field: str = "mlp", f_mem: float | None = 0.5, n: int = 1000) -> dict[str, Any]:
    """A row of memorization whose share rises from quintile to quintile."""
    fifths = {f"q{i}": 0.1 * i for i in range(1, 6)}
    return {"run_label": label, "field": field, "n": n, "f_mem": f_mem, "low": 0.45, "high": 0.55, **fifths}


def tradeoff(
    label: str,
    alpha0: float,
    beta0: float,
    metric: str,
    value: float,
    delta: float | None,
    half: float = 0.005,
    n: int = 1000,
) -> dict[str, Any]:
    """A row of shaping_tradeoff; a plain run has no delta."""
    low, high = (None, None) if delta is None else (delta - half, delta + half)
    return {
        "run_label": label, "plain": alpha0 == 0 and beta0 == 0,
        "alpha0": alpha0, "beta0": beta0, "metric": metric, "space": None, "value": value, "delta": delta,
        "low": low, "high": high, "n": n,
    }  # fmt: skip


def checkpoint(
    step: int,
    f_mem: float,
    half: float = 0.02,
    frechet: float | None = 20.0,
    n: int = 1000,
    family: str = "a",
    space: str | None = "classifier",
) -> dict[str, Any]:
    """A row of training; late energy grows with the step."""
    return {
        "run_label": f"{family} step{step}", "family": family, "training_step": step, "n": n, "space": space,
        "f_mem": f_mem, "f_mem_low": f_mem - half, "f_mem_high": f_mem + half, "frechet": frechet, "kpe_late": step / 100,
    }  # fmt: skip


def tables(**rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    """Arrow tables by analysis; a column that is all None has Arrow's null type, as in an empty study."""
    return {name: pa.Table.from_pylist(here) for name, here in rows.items()}
