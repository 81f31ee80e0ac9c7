-- title: When each group spends its energy
-- answers: Effective power and cumulative energy over time, apart for quantiles of a column, for memorized and other samples,
--   or for classes.
-- source: [KE] figure 3; Lemma 5.1
-- param study: the study
-- param grouping: one of quantile | memorized | class, default quantile: what parts the samples
-- param by: column of samples, default kpe: what the quantiles are of
-- param quantiles: integer from 2 to 100, default 3: how many equally filled bins
-- column run_label: the run's name in the study
-- column grp: the quantile (1 is the lowest), 1 for memorized and 0 for other samples, or the class
-- column step: index of the solver step
-- column t: time at the step's start [time]
-- column n: samples
-- column power: mean ‖ηv‖² [coordinate²/time²]
-- column power_low, power_high: its 10 % and 90 % quantiles [coordinate²/time²]
-- column cumulative_kpe: mean energy spent up to the step's end [coordinate²/time]
WITH sorting AS (
  SELECT run, sample, class, memorized, COLUMNS(lambda c: c = $by)::DOUBLE AS by_value FROM samples
),
grouped AS (
  SELECT m.position, run, sample,
    CASE $grouping WHEN 'class' THEN class WHEN 'memorized' THEN memorized::BIGINT
      ELSE quantile_bin(by_value, $quantiles, m.position) END AS grp
  FROM sorting JOIN study_runs m USING (run)
  WHERE m.study = $study
),
told AS (
  SELECT position, grp, step, any_value(t) AS t, count(*) AS n, avg(eta * eta * power) AS power,
    quantile_cont(eta * eta * power, [0.1, 0.9]) AS ends, avg(cumulative_kpe) AS cumulative_kpe
  FROM steps JOIN grouped USING (run, sample) WHERE grp IS NOT NULL GROUP BY position, grp, step
)
SELECT run_label, grp, step, t, n, power, ends[1] AS power_low, ends[2] AS power_high, cumulative_kpe
FROM told JOIN study_runs USING (position) WHERE study = $study
ORDER BY position, grp, step;
