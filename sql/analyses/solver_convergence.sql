-- title: Does the energy depend on the solver?
-- answers: How the energies of each run differ, sample by sample, from those of the run that spent most evaluations on the
--   same noise, field, data and shaping.
-- source: METHOD §7 (quadrature)
-- param study: the study
-- column run_label: the run's name in the study
-- column solver: its solver
-- column grid: its time grid
-- column nfe_spent: evaluations made per sample
-- column reference: the run of most evaluations
-- column n: pairs of samples
-- column kpe: mean energy [coordinate²/time]
-- column bias: mean energy over the reference's, minus 1
-- column typical: mean of |kpe / reference − 1| over the samples
-- column worst: its largest value
-- column rank: Spearman's ρ of the two energies
-- column apart: mean distance of the endpoints' norms [coordinate]
WITH kin AS (
  SELECT m.position, m.run_label, r.run, r.solver, r.grid, r.nfe_spent,
    (r.dataset, r.n_train, r.scaling, r.pool, r.scale, r.spec->>'$.fingerprint', r.spec->>'$.field', r.weights, r.guidance,
      r.alpha0, r.beta0, r.tau, r.launch, r.landing, r.eta, r.seed)::VARCHAR AS family
  FROM study_runs m JOIN runs r USING (run)
  WHERE m.study = $study
),
finest AS (
  SELECT family, arg_max(run, (nfe_spent, -position)) AS reference FROM kin GROUP BY family HAVING count(*) > 1
),
pairs AS (
  SELECT kin.position, kin.run_label, kin.solver, kin.grid, kin.nfe_spent, r.run_label AS reference_label,
    a.kpe, b.kpe AS reference_kpe, abs(a.norm - b.norm) AS apart,
    average_rank(a.kpe, kin.position) AS ra, average_rank(b.kpe, kin.position) AS rb
  FROM kin
  JOIN finest USING (family)
  JOIN kin r ON r.run = finest.reference
  JOIN samples a ON a.run = kin.run
  JOIN samples b ON b.run = finest.reference AND b.sample = a.sample
)
SELECT
  run_label, solver, grid, nfe_spent, reference_label AS reference,
  count(*)                                              AS n,
  avg(kpe)                                              AS kpe,
  sum(kpe) / nullif(sum(reference_kpe), 0) - 1          AS bias,
  avg(abs(kpe / nullif(reference_kpe, 0) - 1))          AS typical,
  max(abs(kpe / nullif(reference_kpe, 0) - 1))          AS worst,
  rank_corr(ra, rb)                                     AS rank,
  avg(apart)                                            AS apart
FROM pairs
GROUP BY position, run_label, solver, grid, nfe_spent, reference_label
ORDER BY reference, nfe_spent, position;
