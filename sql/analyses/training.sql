-- title: What longer training does
-- answers: How memorization, quality and energy change with the training steps of a network, on the same noise.
-- source: [BO] figure 2; [KE] §6; METHOD §7
-- param study: the study
-- column run_label: the run's name in the study; only runs that differ from another by their training step alone
-- column family: the same without the step
-- column training_step: steps the network was trained for
-- column n: samples
-- column f_mem: memorized share
-- column f_mem_low, f_mem_high: ends of its 95 % bootstrap interval
-- column space: where frechet is read: one row a run and space; NULL where no features were measured
-- column frechet: Fréchet distance in the space's features
-- column frechet_low, frechet_high: ends of its 95 % interval
-- column kpe: mean kinetic path energy [coordinate²/time]
-- column kpe_low, kpe_high: ends of its 95 % interval [coordinate²/time]
-- column kpe_early: mean of the part before the energy split [coordinate²/time]
-- column kpe_early_low, kpe_early_high: ends of its 95 % interval [coordinate²/time]
-- column kpe_late: mean of the part from the energy split on [coordinate²/time]
-- column kpe_late_low, kpe_late_high: ends of its 95 % interval [coordinate²/time]
WITH trained AS (
  SELECT m.position, m.run_label, r.run, r.training_step,
    json_merge_patch(r.spec, '{"experiment": null, "label": null, "training_step": null, "weights": null}') AS all_else
  FROM study_runs m JOIN runs r USING (run)
  WHERE m.study = $study AND r.training_step IS NOT NULL
),
checkpoints AS (
  SELECT *, min(position) OVER family AS family_position,
    max(training_step) OVER family > min(training_step) OVER family AS several
  FROM trained WINDOW family AS (PARTITION BY all_else)
),
energies AS (
  SELECT run, count(*) AS n,
    avg(kpe)                                        AS kpe,
    z95() * stddev(kpe) / sqrt(count(*))            AS kpe_half,
    avg(kpe_early)                                  AS kpe_early,
    z95() * stddev(kpe_early) / sqrt(count(*))      AS kpe_early_half,
    avg(kpe_late)                                   AS kpe_late,
    z95() * stddev(kpe_late) / sqrt(count(*))        AS kpe_late_half
  FROM samples WHERE run IN (SELECT run FROM checkpoints WHERE several) GROUP BY run
)
SELECT
  c.run_label,
  regexp_replace(c.run_label, ' step\d+', '')           AS family,
  training_step, e.n,
  f.value AS f_mem, f.low AS f_mem_low, f.high AS f_mem_high,
  q.space, q.value AS frechet, q.low AS frechet_low, q.high AS frechet_high,
  kpe, kpe - kpe_half AS kpe_low, kpe + kpe_half AS kpe_high,
  kpe_early, kpe_early - kpe_early_half AS kpe_early_low, kpe_early + kpe_early_half AS kpe_early_high,
  kpe_late, kpe_late - kpe_late_half AS kpe_late_low, kpe_late + kpe_late_half AS kpe_late_high
FROM checkpoints c
JOIN energies e USING (run)
JOIN scores f ON f.run = c.run AND f.metric = 'f_mem'
LEFT JOIN scores q ON q.run = c.run AND q.metric = 'frechet'
WHERE c.several
ORDER BY family_position, training_step, q.space;
