-- One row per study and run: which runs a study is made of. A run may belong to several studies.
CREATE VIEW study_runs AS
SELECT
  study,       -- the study's name
  position,    -- the run's place in the study file
  run,         -- the run's id
  experiment,  -- the experiment it belongs to
  label AS run_label  -- its name in this study
FROM memberships;
