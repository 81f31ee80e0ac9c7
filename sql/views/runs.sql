-- One row per finalised run: what was sampled, how, and with what.
CREATE VIEW runs AS
SELECT
  run,                                                                      -- the run's id
  manifest->>'$.run.label'                               AS run_label,      -- its name in the study that first ran it
  manifest->>'$.study'                                   AS study,          -- the study that first ran it
  manifest->>'$.run.experiment'                          AS experiment,     -- the experiment within that study
  manifest->>'$.run.data.name'                           AS dataset,        -- data set
  (manifest->>'$.run.data.n_train')::BIGINT              AS n_train,        -- training points asked for; NULL: all
  manifest->>'$.run.data.prepare.scaling'                AS scaling,        -- preparation
  (manifest->>'$.run.data.prepare.pool')::BIGINT         AS pool,           -- side after pooling; NULL: not pooled
  (manifest->>'$.run.data.prepare.scale')::DOUBLE        AS scale,          -- factor applied last
  manifest->>'$.run.field.kind'                          AS field,          -- exact, mlp, unet, …
  (manifest->>'$.run.training_step')::BIGINT             AS training_step,  -- steps a network was trained for; NULL: not here
  manifest->>'$.run.field.bridge.kind'                   AS bridge,         -- bridge between noise and data
  manifest->>'$.run.solver'                              AS solver,         -- euler, midpoint, heun, heun_ke, rk4, dopri5
  (manifest->>'$.run.tolerance')::DOUBLE                 AS tolerance,      -- of dopri5; NULL for the others
  (manifest->>'$.run.nfe')::BIGINT                       AS nfe,            -- velocities per sample asked for
  (manifest->>'$.evaluations')::BIGINT / (manifest->>'$.run.n_samples')::BIGINT AS nfe_spent, -- evaluations per sample made
  (manifest->>'$.run.guidance')::DOUBLE                  AS guidance,       -- classifier-free guidance scale; 1: none
  manifest->>'$.run.classes'                             AS classes,        -- classes asked for: even, data, or a JSON list
  manifest->>'$.run.grid'                                AS grid,           -- uniform or cosine
  (manifest->>'$.run.shaping.alpha0')::DOUBLE            AS alpha0,         -- launch gain
  (manifest->>'$.run.shaping.beta0')::DOUBLE             AS beta0,          -- landing gain
  (manifest->>'$.run.shaping.tau')::DOUBLE               AS tau,            -- split of the shaping
  manifest->>'$.run.shaping.launch'                      AS launch,         -- form of the launch
  manifest->>'$.run.shaping.landing'                     AS landing,        -- form of the landing
  manifest->>'$.run.shaping.eta'                         AS eta,            -- a given gain: formula, or table as JSON
  ((manifest->>'$.run.shaping.alpha0')::DOUBLE = 0 AND (manifest->>'$.run.shaping.beta0')::DOUBLE = 0
    AND manifest->>'$.run.shaping.eta' IS NULL)          AS plain,          -- whether nothing is shaped
  (manifest->>'$.run.energy_split')::DOUBLE              AS energy_split,   -- time that parts early from late energy
  (manifest->>'$.run.seed')::BIGINT                      AS seed,           -- of the initial noise
  (manifest->>'$.run.n_samples')::BIGINT                 AS n_samples,      -- samples
  (manifest->>'$.run.measure.memorized_below')::DOUBLE   AS memorized_below, -- threshold on d1/d2
  manifest->'$.run'                                      AS spec,           -- the whole spec, JSON
  manifest->>'$.run.weights'                             AS weights,        -- SHA-256 of the network's weights
  manifest->>'$.provenance.device'                       AS device,         -- where it was sampled
  manifest->'$.provenance'                               AS versions,       -- versions and revision, JSON
  manifest->>'$.provenance.git'                          AS git,            -- source revision
  manifest->>'$.trajectories'                            AS trajectories,   -- folder of the Zarr group in the store
  (manifest->>'$.evaluations')::BIGINT                   AS evaluations,    -- network evaluations made, over all samples
  (manifest->>'$.sampling_seconds')::DOUBLE              AS sampling_seconds, -- worker seconds spent sampling [s]
  manifest->>'$.accepted.reason'                         AS accepted,       -- why it is visible though it failed; NULL: it passed
  manifest->>'$.accepted.by'                             AS accepted_by,    -- who accepted it
  (manifest->>'$.accepted.at')::TIMESTAMP                AS accepted_at,    -- when, UTC
  (manifest->>'$.finalised')::TIMESTAMP                  AS finalised       -- when it became visible, UTC
FROM manifests;
