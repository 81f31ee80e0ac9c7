-- One row per run, sample, stored state and coordinate: the trajectories themselves, read lazily from Zarr.
-- Filters on run, sample, state, t and coordinate with constants read only the chunks that can satisfy them.
CREATE VIEW trajectory AS
SELECT
  run,         -- the run's id
  sample,      -- index of the sample
  state,       -- index among the stored states: 0 is the noise, the last one the endpoint
  t,           -- time of the state [time]
  coordinate,  -- index into the flattened state
  x            -- the coordinate's value at t, in prepared coordinates [coordinate]
FROM zarr_trajectory;
