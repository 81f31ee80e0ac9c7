-- title: What the quality gate has seen
-- answers: How many expectations each run was held against and how many failed, and how often those that ever failed in the
--   study did.
-- source: DESIGN, Quality
-- param study: the study
-- column run_label: the run's name in the study
-- column run: the run's id
-- column suite: the table that was looked at
-- column expectations: how many
-- column passed: how many held
-- column warnings, errors: how many failed, by severity
-- column failed: what failed, in words
-- column failed_before: how many of those failed in an earlier run too
WITH told AS (
  SELECT m.position, m.run_label, c.run, c.suite, c.expectation, c.success, c.severity,
    count(*) FILTER (NOT c.success) OVER (PARTITION BY c.suite, c.expectation ORDER BY m.position
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
  FROM checks c JOIN study_runs m USING (run)
  WHERE m.study = $study
)
SELECT
  run_label, run, suite,
  count(*)                                              AS expectations,
  count(*) FILTER (success)                             AS passed,
  count(*) FILTER (NOT success AND severity <> 'error') AS warnings,
  count(*) FILTER (NOT success AND severity = 'error')  AS errors,
  string_agg(expectation, '; ' ORDER BY expectation) FILTER (NOT success) AS failed,
  count(*) FILTER (NOT success AND earlier > 0)         AS failed_before
FROM told
GROUP BY position, run_label, run, suite
ORDER BY position, suite;
