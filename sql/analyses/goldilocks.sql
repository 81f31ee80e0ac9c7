-- title: The Goldilocks curve
-- answers: How quality and memorization go with energy across runs: whether there is an energy that is neither too low for
--   quality nor so high that the samples are copies.
-- source: [KE] §6
-- param study: the study
-- param quality: one of frechet | frechet_infinite | kid | precision | recall | density | coverage | score | margin, default
--   frechet: which metric stands for quality
-- param space: text, default '': the feature space it lives in; empty: the first that has it
-- column experiment: the experiment of the study; runs of one share data and field
-- column run_label: the run's name
-- column kpe: mean energy [coordinate²/time]
-- column kpe_low, kpe_high: ends of its 95 % interval [coordinate²/time]
-- column late_share: share of the energy that is late
-- column f_mem: memorized share
-- column f_mem_low, f_mem_high: ends of its 95 % interval
-- column quality: the metric; NULL where the run has none
-- column quality_low, quality_high: ends of its 95 % interval
-- column best: whether no run of the experiment has better quality
WITH chosen AS (
  FROM scores WHERE metric = $quality AND $space IN ('', space)
  QUALIFY row_number() OVER (PARTITION BY run ORDER BY space) = 1
),
late AS (
  SELECT run, avg(kpe_late) / nullif(avg(kpe), 0) AS late_share FROM samples GROUP BY run
),
points AS (
  SELECT m.experiment, m.position, m.run_label, e.value AS kpe, e.low AS kpe_low, e.high AS kpe_high, late_share,
    f.value AS f_mem, f.low AS f_mem_low, f.high AS f_mem_high, q.value AS quality, q.low AS quality_low,
    q.high AS quality_high, CASE WHEN $quality LIKE 'frechet%' OR $quality = 'kid' THEN q.value ELSE -q.value END AS badness
  FROM study_runs m
  JOIN late USING (run)
  JOIN scores e ON e.run = m.run AND e.metric = 'kpe'
  JOIN scores f ON f.run = m.run AND f.metric = 'f_mem'
  LEFT JOIN chosen q ON q.run = m.run
  WHERE m.study = $study
)
SELECT
  experiment, run_label, kpe, kpe_low, kpe_high, late_share, f_mem, f_mem_low, f_mem_high, quality, quality_low,
  quality_high,
  badness = min(badness) OVER (PARTITION BY experiment) AS best
FROM points
ORDER BY min(position) OVER (PARTITION BY experiment), kpe, position;
