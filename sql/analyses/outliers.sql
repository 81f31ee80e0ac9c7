-- title: Trajectories unlike the others
-- answers: Which samples lie furthest from their run's median in a column, in robust standard deviations, and where they end.
-- source: METHOD §2; median absolute deviation (Hampel 1974)
-- param study: the study
-- param column: column of samples, default kpe: what they are unusual in
-- param top: integer from 1 to 1000000, default 5: how many of each run
-- column run_label: the run's name in the study
-- column sample: index of the sample
-- column value: the column
-- column robust_z: (value − median) / (1.4826 × median absolute deviation)
-- column kpe: its energy [coordinate²/time]
-- column peak_power: its largest power [coordinate²/time²]
-- column peak_t: when [time]
-- column straightness: displacement² / (2 kpe): 1 for a straight path at constant speed
-- column d1: distance to the nearest training point [coordinate]
-- column memorized: whether it is memorized
WITH chosen AS (
  SELECT run, sample, COLUMNS(lambda c: c = $column)::DOUBLE AS value FROM samples
),
medians AS (
  SELECT run, median(value) AS middle, mad(value) AS away
  FROM chosen JOIN study_runs m USING (run)
  WHERE m.study = $study AND is_number(value) GROUP BY run
),
furthest AS (
  SELECT run,
    unnest(max_by({sample: sample, value: value, robust_z: (value - middle) / nullif(1.4826 * away, 0)},
      (abs(value - middle), -sample), $top), max_depth := 2)
  FROM chosen JOIN medians USING (run)
  WHERE is_number(value) GROUP BY run
)
SELECT m.run_label, f.sample, f.value, f.robust_z, s.kpe, s.peak_power, s.peak_t, s.straightness, s.d1, s.memorized
FROM furthest f JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
WHERE m.study = $study
ORDER BY m.position, abs(f.robust_z) DESC, f.sample;
