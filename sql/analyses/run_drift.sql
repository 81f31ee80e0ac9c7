-- title: Do runs that should agree, agree?
-- answers: How runs of the same data, field, solver and shaping that differ in seed, weights or version differ in energy and
--   memorization: every pair of a study's run and another of the store, or of two runs named.
-- source: METHOD §7 (one seed is no evidence)
-- param study: the study
-- param a: text, default '': a run's id or its beginning; empty: every run of the study
-- param b: text, default '': another's; empty: every run it should agree with; named runs need not be alike
-- column run_label: the run's name in the study
-- column run, other: ids of the two runs
-- column other_label: the other's name
-- column differs: what differs: seed, weights, data, version; or spec, where they were named and are not alike
-- column n, other_n: samples
-- column kpe: mean energy [coordinate²/time]
-- column shift: the other's mean energy over this one's, minus 1
-- column z: difference of the means in its standard errors
-- column auc: probability that the other's sample has more energy, ties counting half
-- column p: Mann–Whitney, two-sided, from the normal approximation
-- column f_mem, other_f_mem: memorized shares
-- column f_mem_p: two-sided, of their difference
WITH described AS (
  SELECT run, run_label, seed, weights, spec->>'$.fingerprint' AS data, versions,
    (dataset, n_train, scaling, pool, scale, spec->>'$.field', training_step, solver, tolerance, nfe, guidance, grid,
      alpha0, beta0, tau, launch, landing, eta, n_samples)::VARCHAR AS kind
  FROM runs
),
pairs AS (
  SELECT m.position, m.run_label, x.run, y.run AS other, y.run_label AS other_label, row_number() OVER () AS pair,
    concat_ws(', ',
      CASE WHEN x.kind <> y.kind THEN 'spec' END,
      CASE WHEN x.seed <> y.seed THEN 'seed' END,
      CASE WHEN x.weights IS DISTINCT FROM y.weights THEN 'weights' END,
      CASE WHEN x.data IS DISTINCT FROM y.data THEN 'data' END,
      CASE WHEN x.versions::VARCHAR <> y.versions::VARCHAR THEN 'version' END) AS differs
  FROM study_runs m
  JOIN described x USING (run)
  JOIN described y ON y.run <> x.run AND ((x.kind = y.kind AND $b = '') OR ($b <> '' AND starts_with(y.run, $b)))
  WHERE m.study = $study AND starts_with(x.run, $a)
    -- each pair once: where both belong to the study, the earlier one first
    AND ($b <> '' OR NOT EXISTS (FROM study_runs o WHERE o.study = $study AND o.run = y.run AND o.position < m.position))
),
energies AS (
  SELECT pair, kpe, false AS is_other FROM pairs JOIN samples USING (run)
  UNION ALL
  SELECT pair, kpe, true FROM pairs JOIN samples s ON s.run = pairs.other
),
means AS (
  SELECT run, count(*) AS n, avg(kpe) AS kpe, var_samp(kpe) AS var, avg(memorized::INT) AS f_mem
  FROM samples GROUP BY run
)
SELECT
  run_label, pairs.run, other, other_label, differs, x.n, y.n AS other_n, x.kpe,
  y.kpe / nullif(x.kpe, 0) - 1                          AS shift,
  (y.kpe - x.kpe) / nullif(sqrt(x.var / x.n + y.var / y.n), 0) AS z,
  test.auc, test.p,
  x.f_mem, y.f_mem AS other_f_mem,
  normal_p((y.f_mem - x.f_mem) / nullif(sqrt((x.f_mem * x.n + y.f_mem * y.n) / (x.n + y.n)
    * (1 - (x.f_mem * x.n + y.f_mem * y.n) / (x.n + y.n)) * (1 / x.n + 1 / y.n)), 0)) AS f_mem_p
FROM pairs
JOIN means x ON x.run = pairs.run
JOIN means y ON y.run = pairs.other
JOIN mann_whitney('energies', kpe, is_other, pair) AS test ON test.per = pair
ORDER BY position, other_label, other;
