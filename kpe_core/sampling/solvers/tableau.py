"""What an explicit Runge–Kutta method is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau of a step from t to t + h.

    Stage s evaluates v_s = v(x + h Σ_j a_sj k_j, t + c_s h) and moves by k_s = η(t + c_s h) v_s. The step is
    x ← x + h Σ b_s k_s and spends the energy ½ h Σ b_s ‖k_s‖²: the method's own quadrature of ½∫‖ηv‖², right to the
    method's order and, with b ≥ 0 and Σ b = 1, never below ½‖Δx‖²/h (Jensen).
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    mean_gain: bool = False
    """[KE]'s way with η: every stage moves by ½(η(t) + η(t + h)) v_s, and only the predictor by η(t) v."""

    @property
    def evaluations(self) -> int:
        """Field evaluations of one step."""
        return len(self.c)
