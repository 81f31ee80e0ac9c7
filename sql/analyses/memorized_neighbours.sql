-- title: What is memorized
-- answers: Which training points the memorized samples lie next to, the most copied first.
-- source: [BO]; METHOD §5
-- param study: the study
-- param top: integer from 1 to 1000000, default 10: how many training points of each run
-- column run_label: the run's name in the study
-- column nearest: index of the training point
-- column nearest_label: its class
-- column copies: memorized samples next to it
-- column share: of all the run's memorized samples
-- column d1: mean distance of the copies to it [coordinate]
-- column kpe: mean energy of the copies [coordinate²/time]
-- column first_copy: index of the copy that lies nearest to it
WITH copies AS (
  SELECT m.position, m.run_label, s.nearest, any_value(s.nearest_label) AS nearest_label, count(*) AS copies,
    avg(s.d1) AS d1, avg(s.kpe) AS kpe, arg_min(s.sample, (s.d1, s.sample)) AS first_copy
  FROM samples s JOIN study_runs m USING (run)
  WHERE m.study = $study AND s.memorized
  GROUP BY m.position, m.run_label, s.nearest
)
SELECT
  run_label, nearest, nearest_label, copies,
  copies / sum(copies) OVER (PARTITION BY position)     AS share,
  d1, kpe, first_copy
FROM copies
QUALIFY row_number() OVER (PARTITION BY position ORDER BY copies DESC, nearest) <= $top
ORDER BY position, copies DESC, nearest;
