-- One row per run, sample and stored state: whole vectors, cheaper than the rows of trajectory where a state is used whole.
-- Filters on run, sample, state and t with constants read only the chunks that can satisfy them.
CREATE VIEW states AS
SELECT
  run,     -- the run's id
  sample,  -- index of the sample
  state,   -- index among the stored states: 0 is the noise, the last one the endpoint
  t,       -- time of the state [time]
  x        -- the flattened state, in prepared coordinates [coordinate]
FROM zarr_states;
