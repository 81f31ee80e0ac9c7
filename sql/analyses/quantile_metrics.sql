-- title: Any column by any column's quantile
-- answers: How the mean of one column changes from the lowest to the highest values of another, within each run.
-- source: [KE] figure 2; METHOD §5
-- param study: the study
-- param column: column of samples or log_density, default margin: what is averaged
-- param by: column of samples or log_density, default kpe: what the quantiles are of
-- param quantiles: integer from 2 to 1000, default 5: how many equally filled bins
-- column run_label: the run's name in the study
-- column quantile: 1 holds the lowest; equal values share one, so that many ties leave some fuller than others
-- column n: samples in which both are numbers
-- column by_low, by_high: least and greatest value of what the quantiles are of
-- column mean: mean of the column
-- column low, high: ends of its 95 % bootstrap interval
-- column median: its median
WITH knn AS (  -- of several, the smallest k, nothing left out
  SELECT run, arg_min(estimator, (parameter, estimator)) AS estimator
  FROM (SELECT DISTINCT run, estimator, parameter FROM densities WHERE space = 'data' AND estimator LIKE 'knn%') GROUP BY run
),
estimates AS (
  SELECT run, sample, log_density FROM densities JOIN knn USING (run, estimator)
  WHERE space = 'data' AND 'log_density' IN ($column, $by)
),
chosen AS (
  SELECT run, sample, COLUMNS(lambda c: c = $column)::DOUBLE AS value, COLUMNS(lambda c: c = $by)::DOUBLE AS by_value
  FROM samples LEFT JOIN estimates USING (run, sample)
),
binned AS (
  SELECT position, sample, value, by_value, quantile_bin(by_value, $quantiles, position) AS quantile
  FROM (
    SELECT m.position, c.* FROM chosen c JOIN study_runs m USING (run)
    WHERE m.study = $study AND is_number(value) AND is_number(by_value)
  )
),
means AS (
  SELECT position, quantile, count(*) AS n, min(by_value) AS by_low, max(by_value) AS by_high, avg(value) AS mean,
    median(value) AS median
  FROM binned GROUP BY position, quantile
)
SELECT run_label, quantile, means.n, by_low, by_high, means.mean, low, high, median
FROM means
JOIN study_runs USING (position)
JOIN bootstrap_ci('binned', sample, value, position * 1001 + quantile) AS ends ON per = position * 1001 + quantile
WHERE study_runs.study = $study
ORDER BY position, quantile;
