-- title: Early and late energy
-- answers: How each run's energy divides at the split, and how each part goes with memorization.
-- source: [KE] §6; METHOD §2
-- param study: the study
-- column run_label: the run's name in the study
-- column n: samples
-- column kpe_early, kpe_late: mean energy before and from the run's energy split on [coordinate²/time]
-- column late_share: share of the energy that is late; NULL where nothing moves
-- column rho_early, rho_late: Spearman's ρ with memorized; NULL where all samples agree
WITH ranks AS (
  SELECT m.position, m.run_label, s.kpe, s.kpe_early, s.kpe_late,
    average_rank(s.kpe_early, m.position) AS re, average_rank(s.kpe_late, m.position) AS rl,
    average_rank(s.memorized, m.position) AS rm
  FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
)
SELECT
  run_label, count(*) AS n,
  avg(kpe_early)                                        AS kpe_early,
  avg(kpe_late)                                         AS kpe_late,
  avg(kpe_late) / nullif(avg(kpe), 0)                   AS late_share,
  rank_corr(re, rm)                                     AS rho_early,
  rank_corr(rl, rm)                                     AS rho_late
FROM ranks GROUP BY position, run_label
ORDER BY position;
