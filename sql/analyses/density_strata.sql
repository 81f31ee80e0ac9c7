-- title: Energy in dense and in sparse places
-- answers: Whether samples in the sparsest third have other energies than those in the densest third (Mann–Whitney U).
-- source: [KE] figure 3
-- param study: the study
-- columns: kpe_sparse, kpe_dense: medians; auc: probability that a sparse sample has more energy than a dense one;
--          z, p: normal approximation, two-sided, corrected for ties
WITH strata AS (
  SELECT m.position, m.run_label, d.run, d.space, d.estimator, s.kpe,
    ntile(3) OVER (PARTITION BY d.run, d.space, d.estimator ORDER BY d.log_density, d.sample) AS third
  FROM densities d JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study
),
ranked AS (
  SELECT *, average_rank(kpe, (run, space, estimator)) AS r,
    count(*) OVER (PARTITION BY run, space, estimator, kpe) AS tied
  FROM strata WHERE third IN (1, 3)
),
sums AS (
  SELECT position, run_label, space, estimator,
    count(*) FILTER (third = 1)::DOUBLE                          AS n1,
    count(*) FILTER (third = 3)::DOUBLE                          AS n2,
    sum(r) FILTER (third = 1)                                    AS rank_sum,
    sum((tied * tied - 1)::DOUBLE)                               AS ties,
    median(kpe) FILTER (third = 1)                               AS kpe_sparse,
    median(kpe) FILTER (third = 3)                               AS kpe_dense
  FROM ranked GROUP BY ALL
),
u AS (
  SELECT *, rank_sum - n1 * (n1 + 1) / 2 AS u,
    sqrt(n1 * n2 / 12 * (n1 + n2 + 1 - ties / ((n1 + n2) * (n1 + n2 - 1)))) AS sd
  FROM sums WHERE n1 > 0 AND n2 > 0
)
SELECT
  run_label, space, estimator,
  (n1 + n2)::BIGINT                                     AS n,
  kpe_sparse, kpe_dense,
  u / (n1 * n2)                                         AS auc,
  (u - n1 * n2 / 2) / nullif(sd, 0)                     AS z,
  normal_p(greatest(abs(u - n1 * n2 / 2) - 0.5, 0) / nullif(sd, 0)) AS p
FROM u
ORDER BY position, space, estimator DESC;
