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
  SELECT m.position, m.run_label, run, sample, quantile_bin(by_value, $quantiles, m.position) AS quantile
  FROM sorting JOIN study_runs m USING (run)
  WHERE m.study = $study AND is_number(by_value)
),
long AS (
  UNPIVOT (
    SELECT position, run_label, quantile, sample, space, score, margin, agrees::DOUBLE AS agreement
    FROM binned JOIN semantics USING (run, sample)
  ) ON score, margin, agreement INTO NAME quantity VALUE value
),
keyed AS (
  SELECT *, hash(position, space, quantity, quantile) AS g FROM long
),
against_lowest AS (  -- each higher bin together with the lowest
  SELECT value, quantile > 1 AS first, hash(position, space, quantity, bin) AS g
  FROM long JOIN range(2, $quantiles + 1) AS r(bin) ON quantile = bin OR quantile = 1
),
means AS (
  SELECT position, run_label, space, quantity, quantile, g, count(*) AS n, avg(value) AS mean, stddev_samp(value) AS sd,
    var_samp(value) AS var
  FROM keyed WHERE is_number(value) GROUP BY ALL
)
SELECT
  this.run_label, this.space, this.quantity, this.quantile, this.n, this.mean, this.sd, ends.low, ends.high,
  CASE WHEN this.quantile > 1 THEN (this.mean - least.mean)
    / nullif(sqrt((coalesce(this.var, 0) * (this.n - 1) + coalesce(least.var, 0) * (least.n - 1))
        / nullif(this.n + least.n - 2, 0)), 0) END      AS cohens_d,
  cliffs_delta(auc)                                     AS cliffs_delta,
  z, p
FROM means AS this
JOIN bootstrap_ci('keyed', sample, value, g) AS ends ON ends.per = this.g
LEFT JOIN means AS least
  ON least.position = this.position AND least.space = this.space AND least.quantity = this.quantity AND least.quantile = 1
LEFT JOIN mann_whitney('against_lowest', value, first, g) AS test ON test.per = this.g
ORDER BY this.position, this.space, this.quantity DESC, this.quantile;
