-- title: Early and late energy
-- answers: How each run's energy divides at the split, and how each part goes with memorization.
-- source: [KE] §6; METHOD §2
-- param study: the study
-- columns: kpe_early, kpe_late: means; late_share; rho_early, rho_late: Spearman with memorized (NULL where all agree)
WITH ranks AS (
  SELECT m.position, m.run_label, s.kpe, s.kpe_early, s.kpe_late,
    average_rank(s.kpe_early, s.run) AS re, average_rank(s.kpe_late, s.run) AS rl,
    average_rank(s.memorized::INT, s.run) AS rm
  FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
)
SELECT
  run_label, count(*) AS n,
  avg(kpe_early)                                        AS kpe_early,
  avg(kpe_late)                                         AS kpe_late,
  avg(kpe_late) / nullif(avg(kpe), 0)                   AS late_share,
  CASE WHEN stddev(rm) > 0 THEN corr(re, rm) END        AS rho_early,
  CASE WHEN stddev(rm) > 0 THEN corr(rl, rm) END        AS rho_late
FROM ranks GROUP BY position, run_label
ORDER BY position;
