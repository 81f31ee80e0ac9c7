-- title: Energy against density, with its confounders
-- answers: Spearman correlation of energy with the endpoint's log density, by space and estimator; and whether ‖x(1)‖ or
--          ‖x(1) − x(0)‖ explains it.
-- source: [KE] figures 4 and 5; METHOD §7
-- param study: the study
-- columns: rho (kpe, log density) with its 95 % interval; rho_norm (kpe, ‖x(1)‖); rho_displacement (kpe, ‖x(1) − x(0)‖);
--          given_norm, given_both: partial rank correlations; within_class: mean of the classes' own, weighted by size
WITH pairs AS (
  SELECT m.position, m.run_label, d.run, d.space, d.estimator, d.parameter, d.log_density, s.kpe, s.norm,
         s.displacement, s.class, (d.run, d.space, d.estimator) AS g
  FROM densities d JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study
),
ranks AS (
  SELECT position, run_label, space, estimator, parameter, class,
    average_rank(kpe, g) AS rx, average_rank(log_density, g) AS ry,
    average_rank(norm, g) AS rz, average_rank(displacement, g) AS rw,
    average_rank(kpe, (g, class)) AS cx, average_rank(log_density, (g, class)) AS cy
  FROM pairs
),
overall AS (
  SELECT position, run_label, space, estimator, any_value(parameter) AS parameter, count(*) AS n,
    corr(rx, ry) AS xy, corr(rx, rz) AS xz, corr(ry, rz) AS yz, corr(rx, rw) AS xw, corr(ry, rw) AS yw, corr(rz, rw) AS zw
  FROM ranks GROUP BY ALL
),
per_class AS (
  SELECT position, space, estimator, count(*) AS n, corr(cx, cy) AS xy
  FROM ranks GROUP BY position, space, estimator, class
  HAVING count(*) > 3
),
within AS (
  SELECT position, space, estimator, sum(n * xy) / sum(n) AS within_class
  FROM per_class WHERE xy IS NOT NULL AND NOT isnan(xy) GROUP BY ALL
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
  partial_corr(partial_corr(xy, xz, yz), partial_corr(xw, xz, zw), partial_corr(yw, yz, zw)) AS given_both,
  within_class
FROM overall LEFT JOIN within USING (position, space, estimator)
ORDER BY position, space, estimator DESC;
