-- title: How far the energies can be trusted
-- answers: How the run's own sum of energy compares with other sums over the same paths (the quadrature's error), and with
--   the adaptive solver's energy on the same noise (the path's own error too).
-- source: METHOD §7
-- param study: the study
-- column run_label: the run's name in the study
-- column n: samples
-- column solver: its solver
-- column nfe: velocities per sample asked for
-- column nfe_spent: evaluations made per sample
-- column kpe: mean energy by the solver's own quadrature [coordinate²/time]
-- column kpe_left, kpe_trapezoid, kpe_simpson: mean energy by other sums over the same path [coordinate²/time]
-- column rough: share of samples whose kpe_error exceeds 1 % of kpe
-- column kpe_bias: mean kpe over the adaptive solver's, minus 1, on the first samples
-- column kpe_bias_low, kpe_bias_high: ends of its 95 % interval
-- column kpe_rank: Spearman's ρ of the two energies
-- column probed: how many samples were followed again; NULL: none
WITH sums AS (
  SELECT run, count(*) AS n, avg(kpe) AS kpe, avg(kpe_left) AS kpe_left, avg(kpe_trapezoid) AS kpe_trapezoid,
    avg(kpe_simpson) AS kpe_simpson, avg((kpe_error > 0.01 * kpe)::INT) AS rough
  FROM samples GROUP BY run
)
SELECT
  m.run_label, sums.n, r.solver, r.nfe, r.nfe_spent,
  sums.kpe, kpe_left, kpe_trapezoid, kpe_simpson, rough,
  bias.value                                            AS kpe_bias,
  bias.low                                              AS kpe_bias_low,
  bias.high                                             AS kpe_bias_high,
  ranked.value                                          AS kpe_rank,
  bias.n                                                AS probed
FROM study_runs m
JOIN runs r USING (run)
JOIN sums USING (run)
LEFT JOIN scores bias ON bias.run = m.run AND bias.metric = 'kpe_bias'
LEFT JOIN scores ranked ON ranked.run = m.run AND ranked.metric = 'kpe_rank'
WHERE m.study = $study
ORDER BY m.position;
