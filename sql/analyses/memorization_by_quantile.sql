-- title: Memorization by any column's quantile
-- answers: The memorized share from the lowest to the highest values of a column, with its interval.
-- source: [BO]; [KE] §6
-- param study: the study
-- param by: column of samples, default kpe: what the quantiles are of
-- param quantiles: integer from 2 to 1000, default 5: how many equally filled bins
-- column run_label: the run's name in the study
-- column quantile: 1 holds the lowest; equal values share one
-- column n: samples
-- column by_mean: mean of what the quantiles are of
-- column f_mem: memorized share
-- column low, high: ends of its 95 % interval (Wilson)
WITH sorting AS (
  SELECT run, memorized, COLUMNS(lambda c: c = $by)::DOUBLE AS by_value FROM samples
),
binned AS (
  SELECT m.position, memorized, by_value, quantile_bin(by_value, $quantiles, m.position) AS quantile
  FROM sorting JOIN study_runs m USING (run)
  WHERE m.study = $study AND is_number(by_value)
),
told AS (
  SELECT position, quantile, count(*) AS n, avg(by_value) AS by_mean, avg(memorized::INT) AS f_mem
  FROM binned GROUP BY position, quantile
)
SELECT
  run_label, quantile, n, by_mean, f_mem,
  wilson_low(f_mem, n)                                  AS low,
  wilson_high(f_mem, n)                                 AS high
FROM told JOIN study_runs USING (position) WHERE study = $study
ORDER BY position, quantile;
