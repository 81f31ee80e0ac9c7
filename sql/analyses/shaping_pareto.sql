-- title: Which shapings are worth having
-- answers: Which runs of a family (one plain run and its shapings on the same noise) no other beats in both quality and
--   memorization, and how each differs from the plain one.
-- source: [KE] table 3; METHOD §4, §6
-- param study: the study
-- param quality: one of frechet | frechet_infinite | kid | precision | recall | density | coverage | score | margin, default
--   frechet: which metric stands for quality
-- param space: text, default '': the feature space it lives in; empty: the first that has it
-- column run_label: the run's name in the study
-- column baseline: the plain run's name
-- column alpha0, beta0: launch and landing gain
-- column quality: the metric
-- column quality_delta: paired difference to the plain run; NULL for the plain run
-- column quality_low, quality_high: ends of its 95 % interval
-- column f_mem: memorized share
-- column f_mem_delta: paired difference to the plain run; NULL for the plain run
-- column f_mem_low, f_mem_high: ends of its 95 % interval
-- column kpe: mean energy [coordinate²/time]
-- column on_front: whether no run of the family is at least as good in both and better in one
WITH chosen AS (
  FROM scores WHERE metric = $quality AND $space IN ('', space)
  QUALIFY row_number() OVER (PARTITION BY run ORDER BY space) = 1
),
twins AS (
  SELECT DISTINCT run, baseline FROM comparisons
),
families AS (
  SELECT m.position, m.run_label, m.run, t.baseline FROM study_runs m JOIN twins t USING (run) WHERE m.study = $study
  UNION ALL
  SELECT m.position, m.run_label, m.run, m.run AS baseline
  FROM study_runs m WHERE m.study = $study AND m.run IN (SELECT baseline FROM twins)
),
points AS (
  SELECT f.*, r.alpha0, r.beta0, plain.run_label AS plain_label, q.value AS quality, q.space, mem.value AS f_mem, e.value AS kpe,
    CASE WHEN $quality LIKE 'frechet%' OR $quality = 'kid' THEN q.value ELSE -q.value END AS badness
  FROM families f
  JOIN runs r USING (run)
  JOIN study_runs plain ON plain.run = f.baseline AND plain.study = $study
  JOIN chosen q ON q.run = f.run
  JOIN scores mem ON mem.run = f.run AND mem.metric = 'f_mem'
  JOIN scores e ON e.run = f.run AND e.metric = 'kpe'
)
SELECT
  p.run_label, p.plain_label AS baseline, p.alpha0, p.beta0,
  p.quality, dq.delta AS quality_delta, dq.low AS quality_low, dq.high AS quality_high,
  p.f_mem, dm.delta AS f_mem_delta, dm.low AS f_mem_low, dm.high AS f_mem_high,
  p.kpe,
  NOT EXISTS (
    FROM points o WHERE o.baseline = p.baseline AND o.badness <= p.badness AND o.f_mem <= p.f_mem
      AND (o.badness < p.badness OR o.f_mem < p.f_mem)
  )                                                     AS on_front
FROM points p
LEFT JOIN comparisons dq ON dq.run = p.run AND dq.baseline = p.baseline AND dq.metric = $quality
  AND dq.space IS NOT DISTINCT FROM p.space
LEFT JOIN comparisons dm ON dm.run = p.run AND dm.baseline = p.baseline AND dm.metric = 'f_mem'
ORDER BY min(p.position) OVER (PARTITION BY p.baseline), p.position;
