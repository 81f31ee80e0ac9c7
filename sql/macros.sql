-- Statistics as macros, for every view, analysis and question. They agree with SciPy (tests/sql/test_macros.py).
--
-- Missing values: rows in which a number asked about is NULL or NaN are left out, as SciPy's nan_policy = 'omit' does, and
-- n says how many stayed. Infinities are numbers: the largest and the smallest. What cannot be told (no rows, one row,
-- nothing that varies) is NULL.
--
-- A table macro takes a relation's name in quotes (a view or a WITH query), expressions over its columns, and per, an
-- expression whose values part it into groups (NULL: one group). It answers one row a group, with per as first column:
--   FROM spearman('samples', kpe, margin, run)

-- Whether x is a number: neither NULL nor NaN.
CREATE MACRO is_number(x) AS
  x IS NOT NULL AND NOT isnan(x::DOUBLE);

-- Average rank of x within group g from 1 on, ties sharing the mean of their ranks; NULL for what is no number. Fastest where
-- g is an INTEGER: it and x sort as one key of 16 bytes, in half the time of anything wider.
-- (rank() counts those before the first of the tie, cume_dist() those up to its last.)
CREATE MACRO average_rank(x, g) AS
  CASE WHEN is_number(x) THEN
    (rank() OVER (PARTITION BY g ORDER BY x)
      + round(cume_dist() OVER (PARTITION BY g ORDER BY x) * count(*) OVER (PARTITION BY g))) / 2
  END;

-- Which of bins equally filled bins of group g the value x lies in, 1 for the lowest; NULL for what is no number.
-- Equal values share the lowest bin that any of them reaches, so that many ties leave some bins fuller than others, or empty.
-- (A bin's edge is its highest value; the hair keeps a whole rank that a division rounded up from the next one.)
CREATE MACRO quantile_bin(x, bins, g) AS
  CASE WHEN is_number(x) THEN 1 + len(list_filter(
    quantile_disc(CASE WHEN is_number(x) THEN x END, list_transform(range(1, bins), lambda k: (k - 1e-12) / bins))
      OVER (PARTITION BY g),
    lambda edge: edge < x)) END;

-- Half the width of a normal 95 % interval, in standard errors.
CREATE MACRO z95() AS
  1.959963984540054::DOUBLE;

-- Of normal_p: erfc(x) with u = 1 / (1 + x/2).
CREATE MACRO _erfc(x, u) AS
  u * exp(-x * x - 1.26551223 + u * (1.00002368 + u * (0.37409196 + u * (0.09678418 + u * (-0.18628806
    + u * (0.27886807 + u * (-1.13520398 + u * (1.48851587 + u * (-0.82215223 + u * 0.17087277)))))))));

-- Two-sided p of a standard normal z: erfc(|z|/√2), to a relative 1.2e-7 (Press et al., Numerical Recipes, 6.2).
CREATE MACRO normal_p(z) AS
  CASE WHEN z = 0 THEN 1 ELSE _erfc(abs(z) / sqrt(2.0), 1 / (1 + 0.5 * abs(z) / sqrt(2.0))) END;

-- Lower end of Wilson's 95 % interval of a share p of n.
CREATE MACRO wilson_low(p, n) AS
  CASE WHEN n > 0 AND p IS NOT NULL THEN greatest(0, (p + z95() ** 2 / (2 * n)
    - z95() * sqrt(p * (1 - p) / n + z95() ** 2 / (4 * n::DOUBLE ** 2))) / (1 + z95() ** 2 / n)) END;

-- Upper end of Wilson's 95 % interval of a share p of n.
CREATE MACRO wilson_high(p, n) AS
  CASE WHEN n > 0 AND p IS NOT NULL THEN least(1, (p + z95() ** 2 / (2 * n)
    + z95() * sqrt(p * (1 - p) / n + z95() ** 2 / (4 * n::DOUBLE ** 2))) / (1 + z95() ** 2 / n)) END;

-- Lower end of the 95 % interval of Pearson's r of n pairs, by Fisher's z.
CREATE MACRO fisher_low(r, n) AS
  CASE WHEN n > 3 THEN CASE WHEN abs(r) < 1 THEN tanh(atanh(r) - z95() / sqrt(n - 3)) ELSE r END END;

-- Upper end of the 95 % interval of Pearson's r of n pairs, by Fisher's z.
CREATE MACRO fisher_high(r, n) AS
  CASE WHEN n > 3 THEN CASE WHEN abs(r) < 1 THEN tanh(atanh(r) + z95() / sqrt(n - 3)) ELSE r END END;

-- Lower end of the 95 % interval of Spearman's ρ of n pairs: Fisher's z with Bonett and Wright's standard error. For a
-- partial ρ, n is the number of pairs less that of the variables held fixed.
CREATE MACRO spearman_low(rho, n) AS
  CASE WHEN n > 3 THEN CASE WHEN abs(rho) < 1
    THEN tanh(atanh(rho) - z95() * sqrt((1 + rho * rho / 2) / (n - 3))) ELSE rho END END;

-- Upper end of the 95 % interval of Spearman's ρ of n pairs.
CREATE MACRO spearman_high(rho, n) AS
  CASE WHEN n > 3 THEN CASE WHEN abs(rho) < 1
    THEN tanh(atanh(rho) + z95() * sqrt((1 + rho * rho / 2) / (n - 3))) ELSE rho END END;

-- Correlation of x and y with z held fixed, from the three correlations; NULL where z leaves nothing of x or y.
CREATE MACRO partial_corr(xy, xz, yz) AS
  (xy::DOUBLE - xz::DOUBLE * yz::DOUBLE)
    / nullif(sqrt(greatest((1 - xz::DOUBLE ** 2) * (1 - yz::DOUBLE ** 2), 0)), 0);

-- Correlation of two columns of average ranks, an aggregate: NULL, not NaN, where one is constant.
CREATE MACRO rank_corr(rx, ry) AS
  CASE WHEN min(rx) < max(rx) AND min(ry) < max(ry) THEN corr(rx, ry) END;

-- Cohen's d, an aggregate: mean x where first, less mean x elsewhere, in pooled standard deviations.
CREATE MACRO cohens_d(x, first) AS
  (avg(x) FILTER (first) - avg(x) FILTER (NOT first))
    / nullif(sqrt((coalesce(var_samp(x) FILTER (first) * (count(x) FILTER (first) - 1), 0)
                 + coalesce(var_samp(x) FILTER (NOT first) * (count(x) FILTER (NOT first) - 1), 0))
        / nullif(count(x) - 2, 0)), 0);

-- Cliff's δ from the share auc of pairs in which the first is the larger: P(first > other) − P(first < other).
CREATE MACRO cliffs_delta(auc) AS
  2 * auc - 1;

-- Spearman's ρ of x and y, ties sharing their mean rank: n, rho, and low and high, its 95 % interval.
CREATE MACRO spearman(relation, x, y, per) AS TABLE
  WITH _pairs AS (
    SELECT x AS _x, y AS _y, per AS _per FROM query_table(relation) WHERE is_number(x) AND is_number(y)
  ),
  _groups AS (
    SELECT _per, row_number() OVER ()::INTEGER AS _g FROM (SELECT DISTINCT _per FROM _pairs)
  ),
  _half AS (
    SELECT _g, average_rank(_x, _g) AS rx, _y
    FROM _pairs JOIN _groups ON _pairs._per IS NOT DISTINCT FROM _groups._per
  ),
  _ranks AS (
    SELECT _g, rx, average_rank(_y, _g) AS ry FROM _half
  ),
  _rho AS (
    SELECT _g, count(*) AS n, rank_corr(rx, ry) AS rho FROM _ranks GROUP BY _g
  )
  SELECT _per AS per, n, rho, spearman_low(rho, n) AS low, spearman_high(rho, n) AS high FROM _rho JOIN _groups USING (_g);

-- The same of all rows at once: without groups to part it takes half the time.
CREATE MACRO spearman_overall(relation, x, y) AS TABLE
  WITH _pairs AS (
    SELECT x AS _x, y AS _y FROM query_table(relation) WHERE is_number(x) AND is_number(y)
  ),
  _half AS (  -- one column after the other: a sort is faster the less it carries along
    SELECT rank() OVER (ORDER BY _x) + round(cume_dist() OVER (ORDER BY _x) * (SELECT count(*) FROM _pairs)) AS rx, _y
    FROM _pairs
  ),
  _ranks AS (
    SELECT rx, rank() OVER (ORDER BY _y) + round(cume_dist() OVER (ORDER BY _y) * (SELECT count(*) FROM _pairs)) AS ry
    FROM _half
  ),
  _rho AS (
    SELECT count(*) AS n, rank_corr(rx, ry) AS rho FROM _ranks
  )
  SELECT n, rho, spearman_low(rho, n) AS low, spearman_high(rho, n) AS high FROM _rho;

-- Spearman's ρ of x and y with z held fixed: n, rho, and low and high, its 95 % interval.
CREATE MACRO partial_spearman(relation, x, y, z, per) AS TABLE
  WITH _triples AS (
    SELECT x AS _x, y AS _y, z AS _z, per AS _per FROM query_table(relation)
    WHERE is_number(x) AND is_number(y) AND is_number(z)
  ),
  _groups AS (
    SELECT _per, row_number() OVER ()::INTEGER AS _g FROM (SELECT DISTINCT _per FROM _triples)
  ),
  _ranks AS (
    SELECT _g, average_rank(_x, _g) AS rx, average_rank(_y, _g) AS ry, average_rank(_z, _g) AS rz
    FROM _triples JOIN _groups ON _triples._per IS NOT DISTINCT FROM _groups._per
  ),
  _rho AS (
    SELECT _g, count(*) AS n, partial_corr(rank_corr(rx, ry), rank_corr(rx, rz), rank_corr(ry, rz)) AS rho
    FROM _ranks GROUP BY _g
  )
  SELECT _per AS per, n, rho, spearman_low(rho, n - 1) AS low, spearman_high(rho, n - 1) AS high
  FROM _rho JOIN _groups USING (_g);

-- Mann and Whitney's test of whether x is larger where first holds than elsewhere: n_first, n_other; u, the pairs in which
-- it is, ties counting half; auc, their share; z, corrected for ties and for continuity, and p, two-sided, from the normal
-- approximation; p_exact, from counting all orders, where there are no ties and at most 20 a side (else NULL).
CREATE MACRO mann_whitney(relation, x, first, per) AS TABLE
  WITH RECURSIVE _values AS (
    SELECT x AS _x, first AS _first, per AS _per FROM query_table(relation) WHERE is_number(x) AND first IS NOT NULL
  ),
  _groups AS (
    SELECT _per, row_number() OVER ()::INTEGER AS _g FROM (SELECT DISTINCT _per FROM _values)
  ),
  _ranks AS (
    SELECT _g, _first, average_rank(_x, _g) AS r,
      round(cume_dist() OVER (PARTITION BY _g ORDER BY _x) * count(*) OVER (PARTITION BY _g))
        - rank() OVER (PARTITION BY _g ORDER BY _x) + 1 AS tied
    FROM _values JOIN _groups ON _values._per IS NOT DISTINCT FROM _groups._per
  ),
  _sums AS (
    SELECT _g,
      count(*) FILTER (_first)::DOUBLE AS n1, count(*) FILTER (NOT _first)::DOUBLE AS n2,
      coalesce(sum(r) FILTER (_first), 0) AS rank_sum, sum(tied * tied - 1) AS ties
    FROM _ranks GROUP BY _g
  ),
  _u AS (
    SELECT _g, n1, n2, ties, rank_sum - n1 * (n1 + 1) / 2 AS u,
      sqrt(greatest(n1 * n2 / 12 * (n1 + n2 + 1 - ties / ((n1 + n2) * nullif(n1 + n2 - 1, 0))), 0)) AS spread
    FROM _sums
  ),
  _orders AS (  -- how many orders have U = 0, 1, 2 …: the Gaussian binomial, factor by factor
    SELECT DISTINCT n1, n2, 0 AS i, [1.0::DOUBLE] || list_transform(range((n1 * n2)::BIGINT), lambda k: 0.0::DOUBLE) AS c
    FROM _u WHERE ties = 0 AND least(n1, n2) >= 1 AND greatest(n1, n2) <= 20
    UNION ALL
    SELECT n1, n2, i + 1, list_transform(range(1, len(c) + 1), lambda k:
      list_sum(c[(k - 1) % (i + 1) + 1 : k : i + 1])
        - CASE WHEN k > n2::BIGINT + i + 1
            THEN list_sum(c[(k - n2::BIGINT - i - 2) % (i + 1) + 1 : k - n2::BIGINT - i - 1 : i + 1]) ELSE 0 END)
    FROM _orders WHERE i < n1
  )
  SELECT _per AS per, n1::BIGINT AS n_first, n2::BIGINT AS n_other, u, u / nullif(n1 * n2, 0) AS auc,
    sign(u - n1 * n2 / 2) * greatest(abs(u - n1 * n2 / 2) - 0.5, 0) / nullif(spread, 0) AS z,
    normal_p(greatest(abs(u - n1 * n2 / 2) - 0.5, 0) / nullif(spread, 0)) AS p,
    CASE WHEN c IS NOT NULL THEN least(1, 2 * list_sum(c[1 : least(u, n1 * n2 - u)::BIGINT + 1]) / list_sum(c)) END AS p_exact
  FROM _u JOIN _groups USING (_g) LEFT JOIN (FROM _orders WHERE i = n1) AS counted USING (n1, n2);

-- Bootstrap percentile interval of the mean of value: n, mean, low, high. Deterministic: what is drawn depends on seed
-- alone, and row, a whole number such as the sample's index, says which resampled unit a row belongs to. Up to 1000 rows
-- (0 to 999) each is its own unit; of more, every thousandth row shares one, so that ten million rows cost one pass more
-- than their mean. Groups are resampled together: those of one relation that share rows are paired.
CREATE MACRO bootstrap_ci(relation, row, value, per, draws := 1000, seed := 0) AS TABLE
  WITH _rows AS (
    SELECT (row % 1000)::BIGINT AS unit, value::DOUBLE AS _value, per AS _per FROM query_table(relation)
    WHERE is_number(value)
  ),
  _units AS (
    SELECT count(DISTINCT unit) AS units FROM _rows
  ),
  _sums AS (
    SELECT _per, unit, count(*)::DOUBLE AS n, sum(_value) AS total FROM _rows GROUP BY _per, unit
  ),
  _place AS (  -- units as 0, 1, 2 … in order
    SELECT unit, row_number() OVER (ORDER BY unit) - 1 AS place FROM (SELECT DISTINCT unit FROM _rows)
  ),
  _picked AS (
    SELECT draw, (hash(seed, draw, slot) % units)::BIGINT AS place, count(*)::DOUBLE AS times
    FROM _units, range(draws) AS d(draw), range(1000) AS s(slot) WHERE slot < units GROUP BY ALL
  ),
  _weights AS (
    SELECT draw, list(coalesce(times, 0) ORDER BY place) AS w
    FROM range(draws) AS d(draw) CROSS JOIN _place LEFT JOIN _picked USING (draw, place) GROUP BY draw
  ),
  _groups AS (
    SELECT g._per, list(coalesce(n, 0) ORDER BY place) AS ns, list(coalesce(total, 0) ORDER BY place) AS totals
    FROM (SELECT DISTINCT _per FROM _sums) AS g CROSS JOIN _place
    LEFT JOIN _sums ON _sums.unit = _place.unit AND _sums._per IS NOT DISTINCT FROM g._per GROUP BY g._per
  ),
  _draws AS (
    SELECT _per, list_dot_product(w, totals) / nullif(list_dot_product(w, ns), 0) AS mean FROM _groups, _weights
  ),
  _ends AS (
    SELECT _per, quantile_cont(mean, 0.025) AS low, quantile_cont(mean, 0.975) AS high FROM _draws GROUP BY _per
  )
  SELECT _groups._per AS per, list_sum(ns)::BIGINT AS n, list_sum(totals) / list_sum(ns) AS mean, low, high
  FROM _groups JOIN _ends ON _groups._per IS NOT DISTINCT FROM _ends._per;
