-- title: Memorization by class
-- answers: The memorized share of each class, with its interval, beside the class' energy.
-- source: [BO]; [KE] §6
-- param study: the study
-- column run_label: the run's name in the study
-- column class: asked for, else predicted, else the nearest training point's
-- column n: samples
-- column kpe: mean energy [coordinate²/time]
-- column f_mem: memorized share
-- column low, high: ends of its 95 % interval (Wilson)
SELECT
  m.run_label, s.class,
  count(*)                                              AS n,
  avg(s.kpe)                                            AS kpe,
  avg(s.memorized::INT)                                 AS f_mem,
  wilson_low(avg(s.memorized::INT), count(*))           AS low,
  wilson_high(avg(s.memorized::INT), count(*))          AS high
FROM samples s JOIN study_runs m USING (run)
WHERE m.study = $study
GROUP BY m.position, m.run_label, s.class
ORDER BY m.position, s.class;
