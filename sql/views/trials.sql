-- One row per tuning, shaping tried and rung it came to: which shaping, what its run measured there, and whether no other is better.
CREATE VIEW trials AS
WITH measured AS (
  SELECT
    t.*,
    mem.value AS f_mem,           -- memorized share; NULL where the run failed
    mem.low AS f_mem_low,         -- lower end of its 95 % interval
    mem.high AS f_mem_high,       -- upper end of its 95 % interval
    dm.delta AS f_mem_delta,      -- paired difference to the plain run with as many samples; NULL for the plain run
    dm.low AS f_mem_delta_low,    -- lower end of its 95 % interval
    dm.high AS f_mem_delta_high,  -- upper end of its 95 % interval
    q.value AS frechet,           -- Fréchet distance in the space; NULL where the run failed
    q.low AS frechet_low,         -- lower end of its 95 % interval
    q.high AS frechet_high,       -- upper end of its 95 % interval
    dq.delta AS frechet_delta,    -- paired difference to the plain run with as many samples; NULL for the plain run
    dq.low AS frechet_delta_low,  -- lower end of its 95 % interval
    dq.high AS frechet_delta_high -- upper end of its 95 % interval
  FROM parquet_trials t
  LEFT JOIN scores mem ON mem.run = t.run AND mem.metric = 'f_mem'
  LEFT JOIN scores q ON q.run = t.run AND q.metric = 'frechet' AND q.space = t.space
  LEFT JOIN comparisons dm ON dm.run = t.run AND dm.baseline = t.baseline AND dm.metric = 'f_mem'
  LEFT JOIN comparisons dq ON dq.run = t.run AND dq.baseline = t.baseline AND dq.metric = 'frechet' AND dq.space = t.space
)
SELECT
  m.*,
  final AND f_mem IS NOT NULL AND frechet IS NOT NULL AND NOT EXISTS (
    FROM measured o WHERE o.tuning = m.tuning AND o.final AND o.f_mem <= m.f_mem AND o.frechet <= m.frechet
      AND (o.f_mem < m.f_mem OR o.frechet < m.frechet)
  ) AS on_front                   -- in the last rung, and no other there is at least as good in both and better in one
FROM measured m;
