-- title: Does energy rank the samples?
-- answers: Spearman correlation of energy with score, margin and memorization in each run, plain and with ‖x(1)‖ held fixed.
-- source: [KE] §5; METHOD §7 (the norm as confounder)
-- param study: the study
-- columns: rho with its 95 % interval; rho_norm: kpe against ‖x(1)‖; given_norm: partial rank correlation with its interval
WITH long AS (
  UNPIVOT (
    SELECT m.position, m.run_label, s.run, s.kpe, s.norm, s.score, s.margin, s.memorized::DOUBLE AS memorized
    FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
  ) ON score, margin, memorized INTO NAME quantity VALUE y
),
ranks AS (
  SELECT position, run_label, quantity,
    average_rank(kpe, (run, quantity)) AS rx,
    average_rank(y, (run, quantity)) AS ry,
    average_rank(norm, (run, quantity)) AS rz
  FROM long
),
rho AS (
  SELECT position, run_label, quantity, count(*) AS n, corr(rx, ry) AS xy, corr(rx, rz) AS xz, corr(ry, rz) AS yz
  FROM ranks GROUP BY ALL
)
SELECT
  run_label, quantity, n,
  xy                                                    AS rho,
  spearman_low(xy, n)                                   AS low,
  spearman_high(xy, n)                                  AS high,
  xz                                                    AS rho_norm,
  partial_corr(xy, xz, yz)                              AS given_norm,
  spearman_low(partial_corr(xy, xz, yz), n - 1)         AS given_norm_low,
  spearman_high(partial_corr(xy, xz, yz), n - 1)        AS given_norm_high
FROM rho
WHERE NOT isnan(xy) AND xy IS NOT NULL
ORDER BY position, quantity;
