-- title: Semantic strength by energy, with effect sizes
-- answers: Whether score and margin, in every space that reads classes, differ between the lowest energies and each higher
--   tercile, and by how much.
-- source: [KE] figure 2; [EP]; METHOD §5
-- param study: the study
-- param by: column of samples, default kpe: what the terciles are of
-- param quantiles: integer from 2 to 20, default 3: how many equally filled bins
-- column run_label: the run's name in the study
-- column space: where they are read
-- column quantity: score, margin, or agreement: whether the class predicted is the one asked for (where both are known)
-- column quantile: 1 is the lowest
-- column n: samples
-- column mean, sd: mean and standard deviation [logit, or 100·cos]
-- column low, high: ends of the mean's 95 % bootstrap interval [logit, or 100·cos]
-- column cohens_d: difference of the mean to the lowest bin's in pooled standard deviations; NULL for the lowest
-- column cliffs_delta: P(larger than in the lowest bin) − P(smaller)
-- column z, p: Mann–Whitney against the lowest bin: normal approximation, two-sided
WITH sorting AS (
  SELECT run, sample, COLUMNS(lambda c: c = $by)::DOUBLE AS by_value FROM samples
),
binned AS (
  SELECT m.position, sample, quantile_bin(by_value, $quantiles, m.position)::INTEGER AS quantile
  FROM sorting JOIN study_runs m USING (run)
  WHERE m.study = $study AND is_number(by_value)
),
spaces AS (
  SELECT row_number() OVER ()::INTEGER AS s, run, space FROM (SELECT DISTINCT run, space FROM semantics)
),
names AS (
  SELECT 3 * s + i AS g, position, run_label, space, quantity
  FROM spaces JOIN study_runs USING (run), (VALUES (0, 'score'), (1, 'margin'), (2, 'agreement')) AS q(i, quantity)
  WHERE study = $study
),
told AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, s, sample, score, margin, agrees::DOUBLE AS agreement
  FROM semantics JOIN spaces USING (run, space) JOIN study_runs USING (run) WHERE study = $study
),
read AS (
  SELECT s, quantile, sample, score, margin, agreement FROM binned JOIN told USING (position, sample)
),
long AS (
  SELECT 3 * s AS g, quantile, sample, score AS value FROM read WHERE is_number(score)
  UNION ALL
  SELECT 3 * s + 1, quantile, sample, margin FROM read WHERE is_number(margin)
  UNION ALL
  SELECT 3 * s + 2, quantile, sample, agreement FROM read WHERE is_number(agreement)
),
keyed AS (
  SELECT g * $quantiles + quantile AS cell, sample, value FROM long
),
against_lowest AS (  -- each higher bin together with the lowest
  SELECT g * $quantiles + quantile AS cell, value, true AS first FROM long WHERE quantile > 1
  UNION ALL
  SELECT g * $quantiles + bin, value, false FROM long, range(2, $quantiles + 1) AS r(bin) WHERE quantile = 1
),
means AS (
  SELECT g, quantile, g * $quantiles + quantile AS cell, count(*) AS n, avg(value) AS mean,
    stddev_samp(value) AS sd, var_samp(value) AS var
  FROM long GROUP BY g, quantile
)
SELECT
  run_label, space, quantity, this.quantile, this.n, this.mean, this.sd, ends.low, ends.high,
  CASE WHEN this.quantile > 1 THEN (this.mean - least.mean)
    / nullif(sqrt((coalesce(this.var, 0) * (this.n - 1) + coalesce(least.var, 0) * (least.n - 1))
        / nullif(this.n + least.n - 2, 0)), 0) END      AS cohens_d,
  cliffs_delta(auc)                                     AS cliffs_delta,
  z, p
FROM means AS this JOIN names USING (g)
JOIN bootstrap_ci('keyed', sample, value, cell) AS ends ON ends.per = this.cell
LEFT JOIN means AS least ON least.g = this.g AND least.quantile = 1
LEFT JOIN mann_whitney('against_lowest', value, first, cell) AS test ON test.per = this.cell
ORDER BY position, space, quantity DESC, this.quantile;
