-- title: Does energy rank the samples?
-- answers: Spearman correlation of energy with memorization, and with score and margin in every space that reads classes; and
--   whether ‖x(1)‖ or ‖x(1) − x(0)‖ explains it.
-- source: [KE] §5; METHOD §7 (the norm as confounder)
-- param study: the study
-- column run_label: the run's name in the study
-- column space: where score and margin are read; NULL for memorized
-- column quantity: score, margin or memorized
-- column n: samples
-- column rho: Spearman's ρ of kpe and the quantity
-- column low, high: ends of its 95 % interval
-- column rho_norm: ρ of kpe and ‖x(1)‖
-- column rho_displacement: ρ of kpe and ‖x(1) − x(0)‖
-- column given_norm: partial ρ of kpe and the quantity with ‖x(1)‖ held fixed
-- column given_norm_low, given_norm_high: ends of its 95 % interval
-- column given_displacement: partial ρ with ‖x(1) − x(0)‖ held fixed
-- column given_both: partial ρ with both held fixed
-- column within_class: mean of the classes' own ρ, weighted by size
WITH own AS (
  SELECT m.position, m.run_label, s.run, s.sample, s.class, s.kpe, s.memorized::DOUBLE AS memorized,
    average_rank(s.kpe, m.position) AS rx, average_rank(s.norm, m.position) AS rz,
    average_rank(s.displacement, m.position) AS rw
  FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
),
long AS (
  SELECT own.*, '' AS space, 'memorized' AS quantity, memorized AS y FROM own
  UNION ALL
  SELECT own.*, space, quantity, y
  FROM (UNPIVOT (SELECT run, sample, space, score, margin FROM semantics) ON score, margin INTO NAME quantity VALUE y)
  JOIN own USING (run, sample)
),
ranks AS (
  SELECT position, run_label, space, quantity, class, rx, rz, rw,
    average_rank(y, hash(position, space, quantity)) AS ry,
    average_rank(kpe, hash(position, space, quantity, class)) AS cx,
    average_rank(y, hash(position, space, quantity, class)) AS cy
  FROM long
),
overall AS (
  SELECT position, run_label, space, quantity, count(*) AS n,
    rank_corr(rx, ry) AS xy, rank_corr(rx, rz) AS xz, rank_corr(ry, rz) AS yz,
    rank_corr(rx, rw) AS xw, rank_corr(ry, rw) AS yw, rank_corr(rz, rw) AS zw
  FROM ranks GROUP BY ALL
),
per_class AS (
  SELECT position, space, quantity, count(*) AS n, rank_corr(cx, cy) AS xy
  FROM ranks GROUP BY position, space, quantity, class
  HAVING count(*) > 3
),
within AS (
  SELECT position, space, quantity, sum(n * xy) / sum(n) AS within_class
  FROM per_class WHERE xy IS NOT NULL GROUP BY ALL
)
SELECT
  run_label, nullif(space, '') AS space, quantity, n,
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
FROM overall LEFT JOIN within USING (position, space, quantity)
WHERE xy IS NOT NULL
ORDER BY position, space, quantity;
