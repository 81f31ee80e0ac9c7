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
WITH members AS (
  SELECT position, run_label, run FROM study_runs WHERE study = $study
),
own AS (
  SELECT position, sample, class,
    average_rank(kpe, position) AS rx, average_rank(norm, position) AS rz, average_rank(displacement, position) AS rw,
    average_rank(kpe, hash(position, class)) AS cx
  FROM (SELECT position, sample, class, kpe, norm, displacement FROM samples JOIN members USING (run))
),
estimates AS (
  SELECT position, sample, hash(position, space, estimator) AS g, log_density FROM densities JOIN members USING (run)
),
names AS (
  SELECT DISTINCT hash(position, space, estimator) AS g, position, run_label, space, estimator, parameter
  FROM densities JOIN members USING (run)
),
ranks AS (
  SELECT g, class, rx, rz, rw, cx,
    average_rank(log_density, g) AS ry, average_rank(log_density, hash(g, class)) AS cy
  FROM estimates JOIN own USING (position, sample)
),
overall AS (
  SELECT g, count(*) AS n, rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz,
    rank_corr(rx, rw) AS xw, rank_corr(ry, rw) AS yw, rank_corr(rz, rw) AS zw
  FROM ranks GROUP BY g
),
per_class AS (
  SELECT g, count(*) AS n, rank_corr(cx, cy) AS xy FROM ranks GROUP BY g, class HAVING count(*) > 3
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
