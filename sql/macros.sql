-- Scalar macros every view and analysis may use. Agree with SciPy (tests/sql/).

-- Average rank of x within group g, ties sharing the mean of their ranks: corr() of two of these is Spearman's rho.
CREATE MACRO average_rank(x, g) AS
  rank() OVER (PARTITION BY g ORDER BY x) + (count(*) OVER (PARTITION BY g, x) - 1) / 2.0;

-- Correlation of two variables with a third held fixed.
CREATE MACRO partial_corr(xy, xz, yz) AS
  (xy::DOUBLE - xz::DOUBLE * yz::DOUBLE)
    / nullif(sqrt(greatest((1 - xz::DOUBLE ** 2) * (1 - yz::DOUBLE ** 2), 0)), 0);

-- Ends of Spearman's 95 % interval (Fisher's z with Bonett and Wright's standard error).
CREATE MACRO spearman_low(rho, n) AS
  CASE WHEN abs(rho) < 1 AND n > 3 THEN tanh(atanh(rho) - 1.959964 * sqrt((1 + rho * rho / 2) / (n - 3))) ELSE rho END;
CREATE MACRO spearman_high(rho, n) AS
  CASE WHEN abs(rho) < 1 AND n > 3 THEN tanh(atanh(rho) + 1.959964 * sqrt((1 + rho * rho / 2) / (n - 3))) ELSE rho END;

-- Ends of Wilson's 95 % interval of a share p of n.
CREATE MACRO wilson_low(p, n) AS
  greatest(0, (p + 1.920729 / n - 1.959964 * sqrt(p * (1 - p) / n + 0.960365 / (n * n))) / (1 + 3.841459 / n));
CREATE MACRO wilson_high(p, n) AS
  least(1, (p + 1.920729 / n + 1.959964 * sqrt(p * (1 - p) / n + 0.960365 / (n * n))) / (1 + 3.841459 / n));

-- Two-sided p of a standard normal z: erfc(|z|/√2), to a relative 1.2e-7 (Press et al., Numerical Recipes, 6.2).
CREATE MACRO erfc_tail(x, u) AS
  u * exp(-x * x - 1.26551223 + u * (1.00002368 + u * (0.37409196 + u * (0.09678418 + u * (-0.18628806
    + u * (0.27886807 + u * (-1.13520398 + u * (1.48851587 + u * (-0.82215223 + u * 0.17087277)))))))));
CREATE MACRO normal_p(z) AS
  erfc_tail(abs(z) / sqrt(2.0), 1 / (1 + 0.5 * abs(z) / sqrt(2.0)));
