-- title: What the quality gate has seen
-- answers: How many expectations each run was held against and how many failed, in the order in which the runs became
--   visible, and which of the failures had been seen before.
-- source: DESIGN, Quality
-- param study: the study
-- column run_label: the run's name in the study
-- column run: the run's id
-- column finalised: when it became visible, UTC
-- column suite: the table that was looked at
-- column expectations: how many
-- column passed: how many held
-- column warnings, errors: how many failed, by severity
-- column failed: what failed, in words
-- column failed_before: how many of those failed in an earlier run of the study too
-- column accepted: why the run is visible though an error was found; NULL: none was
WITH told AS (
  SELECT m.position, m.run_label, r.finalised, r.accepted, c.run, c.suite, c.expectation, c.success, c.severity,
    sum((NOT c.success)::INT) OVER (PARTITION BY c.suite, c.expectation ORDER BY r.finalised, m.position
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
  FROM checks c JOIN study_runs m USING (run) JOIN runs r USING (run)
  WHERE m.study = $study
)
SELECT
  run_label, run, finalised, suite,
  count(*)                                              AS expectations,
  count(*) FILTER (success)                             AS passed,
  count(*) FILTER (NOT success AND severity <> 'error') AS warnings,
  count(*) FILTER (NOT success AND severity = 'error')  AS errors,
  string_agg(expectation, '; ' ORDER BY expectation) FILTER (NOT success) AS failed,
  count(*) FILTER (NOT success AND earlier > 0)         AS failed_before,
  accepted
FROM told
GROUP BY position, run_label, run, finalised, accepted, suite
ORDER BY finalised, position, suite;
