-- title: What shaping trades
-- answers: Memorization, quality and energy of every shaping beside its plain twin on the same noise, with paired differences.
-- source: [KE] table 3; METHOD §4, §6
-- param study: the study
-- column run_label: the run's name in the study
-- column plain: whether nothing is shaped
-- column alpha0, beta0: launch and landing gain
-- column eta: a given gain, in place of alpha0 and beta0
-- column metric: which metric
-- column space: the feature space it lives in; NULL where it has none
-- column value: the metric
-- column value_low, value_high: ends of its 95 % interval
-- column delta: difference to the plain run; NULL for the plain run
-- column low, high: ends of its paired 95 % interval
-- column n: samples
WITH families AS (
  SELECT m.*, r.plain, r.alpha0, r.beta0, r.eta, c.baseline
  FROM study_runs m JOIN runs r USING (run)
  LEFT JOIN (SELECT DISTINCT run, baseline FROM comparisons) c ON c.run = m.run
  WHERE m.study = $study
),
members AS (
  SELECT * FROM families
  WHERE baseline IS NOT NULL OR run IN (SELECT baseline FROM families)
)
SELECT
  members.run_label, plain, alpha0, beta0, eta, s.metric, s.space, s.value, s.low AS value_low, s.high AS value_high,
  c.delta, c.low, c.high, s.n
FROM members
JOIN scores s ON s.run = members.run
LEFT JOIN comparisons c ON c.run = members.run AND c.baseline = members.baseline
  AND c.metric = s.metric AND c.space IS NOT DISTINCT FROM s.space
WHERE s.metric NOT IN ('accuracy', 'agreement', 'kpe_bias', 'kpe_rank', 'growth', 'growth_theory')  -- none of them traded
ORDER BY position, s.metric, s.space;
