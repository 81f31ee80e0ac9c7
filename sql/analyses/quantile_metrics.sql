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
  SELECT run, sample, arg_min(log_density, (parameter, estimator)) AS log_density
  FROM densities WHERE space = 'data' AND estimator LIKE 'knn%' AND 'log_density' IN ($column, $by) GROUP BY run, sample
),
chosen AS (
  SELECT run, sample, COLUMNS(lambda c: c = $column)::DOUBLE AS value FROM samples LEFT JOIN knn USING (run, sample)
),
sorting AS (
  SELECT run, sample, COLUMNS(lambda c: c = $by)::DOUBLE AS by_value FROM samples LEFT JOIN knn USING (run, sample)
),
binned AS (
  SELECT m.position, m.run_label, sample, value, by_value, quantile_bin(by_value, $quantiles, m.position) AS quantile
  FROM chosen JOIN sorting USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study AND is_number(value) AND is_number(by_value)
),
means AS (
  SELECT position, run_label, quantile, count(*) AS n, min(by_value) AS by_low, max(by_value) AS by_high, avg(value) AS mean,
    median(value) AS median
  FROM binned GROUP BY ALL
)
SELECT run_label, quantile, means.n, by_low, by_high, means.mean, low, high, median
FROM means
JOIN bootstrap_ci(binned, sample, value, position * 1000 + quantile) AS ends ON per = position * 1000 + quantile
ORDER BY position, quantile;
