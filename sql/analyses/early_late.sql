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
  SELECT position, kpe, kpe_early, kpe_late, memorized::INT AS memorized,
    average_rank(kpe_early, position) AS re, average_rank(kpe_late, position) AS rl
  FROM samples JOIN study_runs USING (run) WHERE study_runs.study = $study
),
told AS (
  SELECT
    position, count(*) AS n, avg(kpe) AS kpe, avg(kpe_early) AS kpe_early, avg(kpe_late) AS kpe_late,
    rank_corr(re, memorized)                            AS rho_early,  -- of two values, ranks are as good as themselves
    rank_corr(rl, memorized)                            AS rho_late
  FROM ranks GROUP BY position
)
SELECT run_label, n, kpe_early, kpe_late, kpe_late / nullif(kpe, 0) AS late_share, rho_early, rho_late
FROM told JOIN study_runs USING (position) WHERE study = $study
ORDER BY position;
