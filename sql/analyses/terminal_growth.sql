-- title: How the exact field pulls at the end
-- answers: Whether the velocity stays bounded as t → 1 or grows under landing, as Lemma 5.1's argument says it must, and
--   what that costs beside the plain twin.
-- source: [KE] Lemma 5.1; METHOD §7
-- param study: the study
-- column run_label: the run's name in the study
-- column n: samples
-- column bridge: the bridge between noise and data
-- column solver: its solver
-- column nfe: velocities per sample asked for
-- column shaped: whether the paths are shaped
-- column growth: exponent c of ‖v‖/γ̇ ~ σ^−c over the last fifth of the grid; NULL where that has too few steps
-- column low, high: ends of its 95 % interval
-- column growth_theory: what the run's gains and steps say it is
-- column landing: 1 − η(1), its limit; NULL for a given η
-- column diverges: whether the energy then has no limit: 2q(1 − landing) ≤ 1 where σ ~ (1 − t)^q; NULL where q is not known
-- column peak_power: mean largest power [coordinate²/time²]
-- column kpe: mean energy [coordinate²/time]
-- column plain_peak_power: that of the plain twin [coordinate²/time²]
-- column plain_kpe: that of the plain twin [coordinate²/time]
WITH exact AS (
  SELECT m.position, m.run_label, r.run, r.n_samples, r.bridge, r.solver, r.nfe,
    NOT r.plain AS shaped,
    CASE
      WHEN r.eta IS NOT NULL THEN NULL
      WHEN r.landing = 'exponential' THEN r.beta0 * (exp((r.spec->>'$.shaping.rate')::DOUBLE) - 1)
      ELSE r.beta0
    END AS landing,
    CASE r.bridge WHEN 'linear' THEN 1 WHEN 'cosine' THEN 2 END AS closing_order
  FROM study_runs m JOIN runs r USING (run)
  WHERE m.study = $study AND run IN (SELECT DISTINCT run FROM theory)
),
means AS (
  SELECT run, avg(peak_power) AS peak_power, avg(kpe) AS kpe FROM samples GROUP BY run
),
twins AS (
  SELECT DISTINCT run, baseline FROM comparisons
)
SELECT
  run_label, n_samples AS n, bridge, solver, nfe, shaped,
  g.value                                               AS growth,
  g.low, g.high,
  said.value                                            AS growth_theory,
  landing,
  2 * closing_order * (1 - landing) <= 1                AS diverges,
  means.peak_power, means.kpe,
  plain.peak_power                                      AS plain_peak_power,
  plain.kpe                                             AS plain_kpe
FROM exact
JOIN means USING (run)
LEFT JOIN scores g ON g.run = exact.run AND g.metric = 'growth'
LEFT JOIN scores said ON said.run = exact.run AND said.metric = 'growth_theory'
LEFT JOIN twins ON twins.run = exact.run
LEFT JOIN means plain ON plain.run = twins.baseline
ORDER BY position;
