-- title: What is spent at the very end
-- answers: Which share of the energy each run spends after a late time, how much power rises there, and whether the samples
--   that pay most have reached a training point.
-- source: [KE] Lemma 5.1; METHOD §3
-- param study: the study
-- param after: number from 0 to 1, default 0.9: the time from which on it is late
-- column run_label: the run's name in the study
-- column n: samples
-- column share: share of the run's energy spent in steps that start at or after that time
-- column uniform: the share that constant power would spend there
-- column rise: median over the samples of the last step's power over the mean power before that time
-- column rise_95: its 95 % quantile
-- column steep: share of samples in which it exceeds 2
-- column rho_d1: Spearman's ρ of a sample's late share and its distance to the nearest training point
-- column rho_memorized: the same with memorized; NULL where all samples agree
WITH late AS (
  SELECT m.position, any_value(run) AS run, sample,
    sum(energy) AS energy, coalesce(sum(energy) FILTER (t >= $after), 0) AS late_energy,
    sum(dt) AS duration, coalesce(sum(dt) FILTER (t >= $after), 0) AS late_duration,
    arg_max(eta * eta * power, step) AS last_power, avg(eta * eta * power) FILTER (t < $after) AS early_power
  FROM steps JOIN study_runs m USING (run) WHERE m.study = $study
  GROUP BY m.position, sample
),
ranked AS (
  SELECT late.*, last_power / nullif(early_power, 0) AS rise,
    average_rank(late_energy / nullif(energy, 0), position) AS r_late,
    average_rank(s.d1, position) AS r_d1, s.memorized::INT AS memorized
  FROM late JOIN samples s USING (run, sample)
)
SELECT
  run_label,
  count(*)                                              AS n,
  sum(late_energy) / nullif(sum(energy), 0)             AS share,
  sum(late_duration) / sum(duration)                    AS uniform,
  median(rise)                                          AS rise,
  quantile_cont(rise, 0.95)                             AS rise_95,
  avg((rise > 2)::INT)                                  AS steep,
  rank_corr(r_late, r_d1)                               AS rho_d1,
  rank_corr(r_late, memorized)                          AS rho_memorized
FROM ranked JOIN study_runs USING (position) WHERE study = $study
GROUP BY position, run_label
ORDER BY position;
