-- title: When the energy is spent
-- answers: Effective power and cumulative energy over time, over all samples of a run.
-- source: [KE] figure 3; Lemma 5.1
-- param study: the study
-- columns: t; power: mean ‖ηv‖²; power_low, power_high: 10 % and 90 % quantiles; cumulative_kpe: mean energy spent up to
--          the step's end
SELECT
  m.run_label,
  step,
  any_value(t)                                          AS t,
  avg(eta * eta * power)                                AS power,
  quantile_cont(eta * eta * power, 0.1)                 AS power_low,
  quantile_cont(eta * eta * power, 0.9)                 AS power_high,
  avg(cumulative_kpe)                                   AS cumulative_kpe
FROM steps JOIN study_runs m USING (run)
WHERE m.study = $study
GROUP BY m.position, m.run_label, step
ORDER BY m.position, step;
