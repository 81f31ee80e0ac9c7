-- title: Does energy rank the samples?
-- answers: Spearman correlation of energy with score, margin and memorization in each run, plain and with ‖x(1)‖ held fixed.
-- source: [KE] §5; METHOD §7 (the norm as confounder)
-- param study: the study
-- column run_label: the run's name in the study
-- column quantity: score, margin or memorized
-- column n: samples
-- column rho: Spearman's ρ of kpe and the quantity
-- column low, high: ends of its 95 % interval
-- column rho_norm: ρ of kpe and ‖x(1)‖
-- column given_norm: partial ρ with ‖x(1)‖ held fixed
-- column given_norm_low, given_norm_high: ends of its 95 % interval
WITH ranks AS (
  SELECT position, average_rank(kpe, position) AS rx, average_rank(norm, position) AS rz,
    average_rank(score, position) AS score, average_rank(margin, position) AS margin,
    memorized::DOUBLE AS memorized  -- of two values, ranks are as good as themselves
  FROM samples JOIN study_runs USING (run) WHERE study_runs.study = $study
),
long AS (
  UNPIVOT ranks ON score, margin, memorized INTO NAME quantity VALUE ry
),
rho AS (
  SELECT position, quantity, count(*) AS n, rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz
  FROM long GROUP BY ALL
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
FROM rho JOIN study_runs USING (position)
WHERE study_runs.study = $study AND xy IS NOT NULL
ORDER BY position, quantity;
