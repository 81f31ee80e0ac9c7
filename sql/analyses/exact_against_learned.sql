-- title: The exact field beside a learned one
-- answers: Whether the exact field reaches a higher peak power and memorizes more than a network trained on the same points,
--   from the same noise.
-- source: [KE] Proposition 5.2; METHOD §3
-- param study: the study
-- column run_label: the exact run's name
-- column learned: the network's run, with the same training points, bridge, seed and number of samples, both plain and
--   unguided
-- column n: pairs of samples
-- column nfe, learned_nfe: velocities per sample asked for
-- column peak_power, learned_peak_power: means [coordinate²/time²]
-- column higher: share of samples whose exact path peaks higher
-- column higher_low, higher_high: ends of its 95 % interval (Wilson)
-- column ratio: median of exact over learned peak power
-- column f_mem: memorized share of the exact run
-- column f_mem_low, f_mem_high: ends of its 95 % interval (Wilson)
-- column learned_f_mem: memorized share of the network's
-- column learned_f_mem_low, learned_f_mem_high: ends of its 95 % interval (Wilson)
WITH plain AS (
  SELECT m.position, m.run_label, r.run, r.field, r.seed, r.n_samples, r.nfe,
    r.spec->>'$.fingerprint' AS data, r.spec->>'$.field.bridge' AS path
  FROM study_runs m JOIN runs r USING (run)
  WHERE m.study = $study AND r.guidance = 1 AND r.plain
),
pairs AS (
  SELECT e.position, l.position AS learned_position, e.run_label, l.run_label AS learned,
    e.run AS exact_run, l.run AS learned_run, e.nfe, l.nfe AS learned_nfe
  FROM plain e JOIN plain l USING (data, path, seed, n_samples)
  WHERE e.field = 'exact' AND l.field <> 'exact'
),
paths AS (
  SELECT exact_run, learned_run, count(*) AS n,
    avg(e.peak_power)                                   AS peak_power,
    avg(l.peak_power)                                   AS learned_peak_power,
    avg((e.peak_power > l.peak_power)::INT)             AS higher,
    median(e.peak_power / nullif(l.peak_power, 0))      AS ratio,
    avg(e.memorized::INT)                               AS f_mem,
    avg(l.memorized::INT)                               AS learned_f_mem
  FROM pairs
  JOIN samples e ON e.run = exact_run
  JOIN samples l ON l.run = learned_run AND l.sample = e.sample
  GROUP BY exact_run, learned_run
)
SELECT
  run_label, learned, n, nfe, learned_nfe,
  peak_power, learned_peak_power, higher,
  wilson_low(higher, n)                                 AS higher_low,
  wilson_high(higher, n)                                AS higher_high,
  ratio,
  f_mem,
  wilson_low(f_mem, n)                                  AS f_mem_low,
  wilson_high(f_mem, n)                                 AS f_mem_high,
  learned_f_mem,
  wilson_low(learned_f_mem, n)                          AS learned_f_mem_low,
  wilson_high(learned_f_mem, n)                         AS learned_f_mem_high
FROM pairs JOIN paths USING (exact_run, learned_run)
ORDER BY position, learned_position;
