-- title: When the energy is spent
-- answers: Effective power and cumulative energy over time, over all samples of a run.
-- source: [KE] figure 3; Lemma 5.1
-- param study: the study
-- column run_label: the run's name in the study
-- column step: index of the solver step
-- column t: time at the step's start [time]
-- column power: mean ‖ηv‖² [coordinate²/time²]
-- column power_low, power_high: its 10 % and 90 % quantiles [coordinate²/time²]
-- column cumulative_kpe: mean energy spent up to the step's end [coordinate²/time]
SELECT
  m.run_label,
  step,
  any_value(t)                                          AS t,
  avg(eta * eta * power)                                AS power,
  quantile_cont(eta * eta * power, [0.1, 0.9])[1]       AS power_low,
  quantile_cont(eta * eta * power, [0.1, 0.9])[2]       AS power_high,
  avg(cumulative_kpe)                                   AS cumulative_kpe
FROM steps JOIN study_runs m USING (run)
WHERE m.study = $study
GROUP BY m.position, m.run_label, step
ORDER BY m.position, step;
