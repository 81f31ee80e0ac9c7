-- title: The published shaping table, side by side
-- answers: What each row of [KE]'s CelebA 32×32 table became in runs of the same settings, with paired differences to the
--   plain run.
-- source: [KE] table 3; METHOD §6
-- param study: the study
-- column run_label: the run's name in the study
-- column space: the feature space of the Fréchet distance here; the published one is the FID
-- column alpha0, beta0, tau: launch gain, landing gain and split
-- column published_f_mem, published_fid: on CelebA 32×32, grey, 1024 images; NULL where not published
-- column f_mem: memorized share here
-- column f_mem_delta: paired difference to the plain run; NULL for the plain run
-- column f_mem_low, f_mem_high: ends of its 95 % interval (of the share, for the plain run)
-- column frechet: Fréchet distance here
-- column frechet_delta: paired difference to the plain run; NULL for the plain run
-- column frechet_low, frechet_high: ends of its 95 % interval (of the distance, for the plain run)
WITH published(alpha0, beta0, tau, f_mem, fid) AS (
  VALUES
    (0.0, 0.0, 0.6, 0.3734, 16.68),
    (0.01, 0.01, 0.6, 0.3122, 14.35),
    (0.02, 0.0, 0.6, 0.3678, 11.27),
    (0.0, 0.02, 0.6, 0.1936, 86.56),
    (0.01, 0.01, 0.2, NULL, 60.31),
    (0.01, 0.01, 0.4, NULL, 48.58),
    (0.01, 0.01, 0.8, NULL, 21.07)
),
settings AS (
  SELECT m.position, m.run_label, m.run, r.alpha0, r.beta0, r.tau, p.f_mem::DOUBLE AS f_mem, p.fid::DOUBLE AS fid,
    (SELECT any_value(c.baseline) FROM comparisons c WHERE c.run = m.run) AS baseline
  FROM study_runs m JOIN runs r USING (run)
  JOIN published p ON (p.alpha0, p.beta0, p.tau) = (r.alpha0, r.beta0, r.tau)
  WHERE m.study = $study AND r.eta IS NULL AND r.launch = 'linear' AND r.landing = 'exponential'
)
SELECT
  s.run_label, q.space, s.alpha0, s.beta0, s.tau, s.f_mem AS published_f_mem, s.fid AS published_fid,
  mem.value AS f_mem, dm.delta AS f_mem_delta, coalesce(dm.low, mem.low) AS f_mem_low, coalesce(dm.high, mem.high) AS f_mem_high,
  q.value AS frechet, dq.delta AS frechet_delta, coalesce(dq.low, q.low) AS frechet_low, coalesce(dq.high, q.high) AS frechet_high
FROM settings s
JOIN scores mem ON mem.run = s.run AND mem.metric = 'f_mem'
LEFT JOIN scores q ON q.run = s.run AND q.metric = 'frechet'
LEFT JOIN comparisons dm ON dm.run = s.run AND dm.baseline = s.baseline AND dm.metric = 'f_mem'
LEFT JOIN comparisons dq ON dq.run = s.run AND dq.baseline = s.baseline AND dq.metric = 'frechet' AND dq.space = q.space
WHERE s.baseline IS NOT NULL OR s.run IN (SELECT baseline FROM settings)
ORDER BY s.position, q.space;
