-- title: Does energy rank the samples?
-- answers: Spearman correlation of energy with memorization, and with score and margin in every space that reads classes; and
--   whether ‖x(1)‖ or ‖x(1) − x(0)‖ explains it.
-- source: [KE] §5; METHOD §7 (the norm as confounder)
-- param study: the study
-- column run_label: the run's name in the study
-- column space: where score and margin are read; NULL for memorized
-- column quantity: score, margin or memorized
-- column n: samples of which no number asked about is missing: energy, norm, displacement, what the run's spaces read
-- column rho: Spearman's ρ of kpe and the quantity
-- column low, high: ends of its 95 % interval
-- column rho_norm: ρ of kpe and ‖x(1)‖
-- column rho_displacement: ρ of kpe and ‖x(1) − x(0)‖
-- column given_norm: partial ρ of kpe and the quantity with ‖x(1)‖ held fixed
-- column given_norm_low, given_norm_high: ends of its 95 % interval
-- column given_displacement: partial ρ with ‖x(1) − x(0)‖ held fixed
-- column given_both: partial ρ with both held fixed
-- column within_class: mean of the classes' own ρ, weighted by size
WITH has AS (  -- a space may read no margin at all
  SELECT run, space, bool_or(is_number(score)) AS score, bool_or(is_number(margin)) AS margin FROM semantics GROUP BY ALL
),
holes AS (
  SELECT DISTINCT run, sample FROM semantics JOIN has USING (run, space)
  WHERE (has.score AND NOT is_number(semantics.score)) OR (has.margin AND NOT is_number(semantics.margin))
),
own AS (
  SELECT position, sample, class, kpe, norm, displacement, memorized::DOUBLE AS memorized
  FROM samples JOIN study_runs USING (run) ANTI JOIN holes USING (run, sample)
  WHERE study = $study AND is_number(kpe) AND is_number(norm) AND is_number(displacement)
),
classes AS (
  SELECT row_number() OVER ()::INTEGER AS c, * FROM (SELECT DISTINCT position, class FROM own)
),
classed AS (
  SELECT own.position, c, sample, kpe, norm, displacement, memorized
  FROM own JOIN classes ON own.position = classes.position AND own.class IS NOT DISTINCT FROM classes.class
),
confounders AS (  -- a column is ranked in half the time where few others are carried along
  SELECT position, c, sample, kpe, memorized, average_rank(norm, position) AS rz, average_rank(displacement, position) AS rw
  FROM classed
),
energies AS (
  SELECT position, c, sample, memorized, rz, rw, average_rank(kpe, position) AS rx, average_rank(kpe, c) AS cx
  FROM confounders
),
spaces AS (
  SELECT row_number() OVER ()::INTEGER AS s, space, count(*) OVER ()::INTEGER AS n_spaces
  FROM (SELECT DISTINCT space FROM has)
),
names AS (
  SELECT run, position, space, s, n_spaces FROM has JOIN spaces USING (space) JOIN study_runs USING (run) WHERE study = $study
),
readings AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, s, sample, n_spaces, score, margin FROM semantics JOIN names USING (run, space)
),
scores AS (
  SELECT position, s, c, n_spaces, rx, rz, rw, cx, margin,
    average_rank(score, position * n_spaces + s) AS score, average_rank(score, c * n_spaces + s) AS score_within
  FROM energies JOIN readings USING (position, sample)
),
strengths AS (
  SELECT position, s, c, rx, rz, rw, cx, score, score_within,
    average_rank(margin, position * n_spaces + s) AS margin, average_rank(margin, c * n_spaces + s) AS margin_within
  FROM scores
),
ranks AS (
  SELECT position, 0 AS s, 'memorized' AS quantity, c, rx, rz, rw, cx,
    memorized AS ry, memorized AS cy  -- of two values, ranks are as good as themselves
  FROM energies
  UNION ALL
  SELECT position, s, 'score', c, rx, rz, rw, cx, score, score_within FROM strengths WHERE score IS NOT NULL
  UNION ALL
  SELECT position, s, 'margin', c, rx, rz, rw, cx, margin, margin_within FROM strengths WHERE margin IS NOT NULL
),
overall AS (
  SELECT position, s, quantity, count(*) AS n,
    rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz,
    rank_corr(rx, rw) AS xw, rank_corr(ry, rw) AS yw, rank_corr(rz, rw) AS zw
  FROM ranks GROUP BY ALL
),
per_class AS (
  SELECT position, s, quantity, count(*) AS n, rank_corr(cx, cy) AS xy
  FROM ranks GROUP BY position, s, quantity, c HAVING count(*) > 3
),
within AS (
  SELECT position, s, quantity, sum(n * xy) / sum(n) AS within_class FROM per_class WHERE xy IS NOT NULL GROUP BY ALL
)
SELECT
  run_label, space, quantity, n,
  xy                                                    AS rho,
  spearman_low(xy, n)                                   AS low,
  spearman_high(xy, n)                                  AS high,
  xz                                                    AS rho_norm,
  xw                                                    AS rho_displacement,
  partial_corr(xy, xz, yz)                              AS given_norm,
  spearman_low(partial_corr(xy, xz, yz), n - 1)         AS given_norm_low,
  spearman_high(partial_corr(xy, xz, yz), n - 1)        AS given_norm_high,
  partial_corr(xy, xw, yw)                              AS given_displacement,
  partial_corr(partial_corr(xy, xz, yz), partial_corr(xw, xz, zw), partial_corr(yw, yz, zw)) AS given_both,
  within_class
FROM overall JOIN study_runs USING (position) LEFT JOIN within USING (position, s, quantity) LEFT JOIN spaces USING (s)
WHERE study = $study AND xy IS NOT NULL
ORDER BY position, space NULLS FIRST, quantity;
