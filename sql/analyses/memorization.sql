-- title: How much is memorized, and at which energies
-- answers: F_mem of every run with its bootstrap interval, and the memorized share by quintile of energy.
-- source: [BO]; [KE] §6; METHOD §5
-- param study: the study
-- columns: f_mem with its interval; q1 … q5: memorized share from the lowest to the highest fifth of energy;
--          late_memorized, late_other: mean late energy of memorized and of other samples
WITH chosen AS (
  SELECT s.*, ntile(5) OVER (PARTITION BY s.run ORDER BY s.kpe, s.sample) AS q
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
