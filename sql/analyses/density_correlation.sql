-- title: Energy against density, with its confounders
-- answers: Spearman correlation of energy with the endpoint's log density, by space and estimator; and whether ‖x(1)‖ or
--   ‖x(1) − x(0)‖ explains it.
-- source: [KE] figures 4 and 5; METHOD §7
-- param study: the study
-- column run_label: the run's name in the study
-- column space, estimator: where and how the density was estimated
-- column parameter: the estimator's k or bandwidth
-- column n: samples
-- column rho: Spearman's ρ of kpe and log density
-- column low, high: ends of its 95 % interval
-- column rho_norm: ρ of kpe and ‖x(1)‖
-- column rho_displacement: ρ of kpe and ‖x(1) − x(0)‖
-- column given_norm: partial ρ of kpe and log density with ‖x(1)‖ held fixed
-- column given_norm_low, given_norm_high: ends of its 95 % interval
-- column given_displacement: partial ρ with ‖x(1) − x(0)‖ held fixed
-- column given_both: partial ρ with both held fixed
-- column within_class: mean of the classes' own ρ, weighted by size
WITH names AS (
  SELECT row_number() OVER ()::INTEGER AS g, *
  FROM (SELECT DISTINCT run, space, estimator, parameter FROM densities) JOIN study_runs USING (run) WHERE study = $study
),
own AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, sample, class, kpe, norm, displacement FROM samples JOIN study_runs USING (run)
  WHERE study = $study AND is_number(kpe) AND is_number(norm) AND is_number(displacement)
),
estimates AS MATERIALIZED (
  SELECT position, sample, g, log_density AS y FROM densities JOIN names USING (run, space, estimator)
  WHERE is_number(log_density)
),
pairs AS (  -- what has every number asked about
  SELECT g, class, kpe, y, norm, displacement FROM estimates JOIN own USING (position, sample)
),
classes AS (
  SELECT row_number() OVER ()::INTEGER AS c, * FROM (SELECT DISTINCT g, class FROM pairs)
),
classed AS (
  SELECT pairs.g, c, kpe, y, norm, displacement
  FROM pairs JOIN classes ON pairs.g = classes.g AND pairs.class IS NOT DISTINCT FROM classes.class
),
confounders AS (  -- a column is ranked in half the time where few others are carried along
  SELECT g, c, kpe, y, average_rank(norm, g) AS rz, average_rank(displacement, g) AS rw FROM classed
),
energies AS (
  SELECT g, c, y, rz, rw, average_rank(kpe, g) AS rx, average_rank(kpe, c) AS cx FROM confounders
),
ranks AS (
  SELECT g, c, rz, rw, rx, cx, average_rank(y, g) AS ry, average_rank(y, c) AS cy FROM energies
),
overall AS (
  SELECT g, count(*) AS n, rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz,
    rank_corr(rx, rw) AS xw, rank_corr(ry, rw) AS yw, rank_corr(rz, rw) AS zw
  FROM ranks GROUP BY g
),
per_class AS (
  SELECT g, count(*) AS n, rank_corr(cx, cy) AS xy FROM ranks GROUP BY g, c HAVING count(*) > 3
),
within AS (
  SELECT g, sum(n * xy) / sum(n) AS within_class FROM per_class WHERE xy IS NOT NULL GROUP BY g
)
SELECT
  run_label, space, estimator, parameter, n,
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
FROM overall JOIN names USING (g) LEFT JOIN within USING (g)
ORDER BY position, space, estimator DESC;
