-- title: How much is memorized, and at which energies
-- answers: F_mem of every run with its bootstrap interval, and the memorized share by quintile of energy.
-- source: [BO]; [KE] §6; METHOD §5
-- param study: the study
-- column run_label: the run's name in the study
-- column field: exact, or what network
-- column n: samples
-- column f_mem: memorized share
-- column low, high: ends of its 95 % bootstrap interval
-- column q1, q2, q3, q4, q5: memorized share from the lowest to the highest fifth of energy
-- column late_memorized, late_other: mean late energy of memorized and of other samples [coordinate²/time]
WITH chosen AS (
  SELECT s.run, s.memorized, s.kpe_late, quantile_bin(s.kpe, 5, m.position) AS q
  FROM samples s JOIN study_runs m USING (run) WHERE m.study = $study
),
by_quintile AS (
  SELECT run,
    avg(memorized::INT) FILTER (q = 1) AS q1, avg(memorized::INT) FILTER (q = 2) AS q2,
    avg(memorized::INT) FILTER (q = 3) AS q3, avg(memorized::INT) FILTER (q = 4) AS q4,
    avg(memorized::INT) FILTER (q = 5) AS q5,
    avg(kpe_late) FILTER (memorized) AS late_memorized, avg(kpe_late) FILTER (NOT memorized) AS late_other
  FROM chosen GROUP BY run
)
SELECT m.run_label, r.field, f.n, f.value AS f_mem, f.low, f.high, q1, q2, q3, q4, q5, late_memorized, late_other
FROM study_runs m
JOIN runs r USING (run)
JOIN scores f ON f.run = m.run AND f.metric = 'f_mem'
JOIN by_quintile b ON b.run = m.run
WHERE m.study = $study
ORDER BY m.position;
