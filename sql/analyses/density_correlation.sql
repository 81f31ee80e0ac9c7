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
WITH own AS (
  SELECT m.position, m.run_label, s.run, s.sample, s.class,
    average_rank(s.kpe, m.position) AS rx, average_rank(s.norm, m.position) AS rz,
    average_rank(s.displacement, m.position) AS rw, average_rank(s.kpe, hash(m.position, s.class)) AS cx
  FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
),
ranks AS (
  SELECT position, run_label, space, estimator, parameter, class, rx, rz, rw, cx,
    average_rank(log_density, hash(position, space, estimator)) AS ry,
    average_rank(log_density, hash(position, space, estimator, class)) AS cy
  FROM densities JOIN own USING (run, sample)
),
overall AS (
  SELECT position, run_label, space, estimator, any_value(parameter) AS parameter, count(*) AS n,
    rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz,
    rank_corr(rx, rw) AS xw, rank_corr(ry, rw) AS yw, rank_corr(rz, rw) AS zw
  FROM ranks GROUP BY ALL
),
per_class AS (
  SELECT position, space, estimator, count(*) AS n, rank_corr(cx, cy) AS xy
  FROM ranks GROUP BY position, space, estimator, class
  HAVING count(*) > 3
),
within AS (
  SELECT position, space, estimator, sum(n * xy) / sum(n) AS within_class
  FROM per_class WHERE xy IS NOT NULL GROUP BY ALL
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
FROM overall LEFT JOIN within USING (position, space, estimator)
ORDER BY position, space, estimator DESC;
