-- title: The front of quality and memorization that a tuning found
-- answers: Which shapings, the plain run and the published settings among them, no other beats in both the memorized share and
--   the Fréchet distance, and whether each differs from the plain run beyond its paired interval. Chosen and measured on
--   the same noise: on new noise they may do a little less well.
-- source: [KE] table 3; METHOD §4, §6
-- param study: the study of the trials, whose name ends in -tune
-- column tuning: the tuning's id
-- column origin: plain, published or search
-- column trial: its number in the search; NULL where it was not searched
-- column alpha0, beta0: launch and landing gain
-- column tau: split of the shaping [time]
-- column launch, landing: their forms; NULL where the gain is 0
-- column rate: k of the exponential forms; NULL where there is none
-- column n_samples: samples
-- column space: the feature space of the Fréchet distance
-- column f_mem: memorized share
-- column f_mem_low, f_mem_high: ends of its 95 % interval
-- column f_mem_delta: paired difference to the plain run; NULL for the plain run
-- column f_mem_delta_low, f_mem_delta_high: ends of its 95 % interval
-- column f_mem_differs: lower or higher than the plain run's beyond the interval, else no; NULL for the plain run
-- column frechet: Fréchet distance
-- column frechet_low, frechet_high: ends of its 95 % interval
-- column frechet_delta: paired difference to the plain run; NULL for the plain run
-- column frechet_delta_low, frechet_delta_high: ends of its 95 % interval
-- column frechet_differs: lower or higher than the plain run's beyond the interval, else no; NULL for the plain run
-- column on_front: whether no other is at least as good in both and better in one
SELECT
  tuning, origin, trial, alpha0, beta0,
  CASE WHEN alpha0 > 0 OR beta0 > 0 THEN tau END                                  AS tau,
  CASE WHEN alpha0 > 0 THEN launch END                                            AS launch,
  CASE WHEN beta0 > 0 THEN landing END                                            AS landing,
  CASE WHEN (alpha0 > 0 AND trials.launch = 'exponential') OR (beta0 > 0 AND trials.landing = 'exponential') THEN rate END AS rate,
  n_samples, space,
  f_mem, f_mem_low, f_mem_high, f_mem_delta, f_mem_delta_low, f_mem_delta_high,
  CASE WHEN f_mem_delta_high < 0 THEN 'lower' WHEN f_mem_delta_low > 0 THEN 'higher' WHEN origin <> 'plain' THEN 'no' END
                                                                                  AS f_mem_differs,
  frechet, frechet_low, frechet_high, frechet_delta, frechet_delta_low, frechet_delta_high,
  CASE WHEN frechet_delta_high < 0 THEN 'lower' WHEN frechet_delta_low > 0 THEN 'higher' WHEN origin <> 'plain' THEN 'no' END
                                                                                  AS frechet_differs,
  on_front
FROM trials
WHERE study = $study AND final AND (on_front OR origin <> 'search') AND f_mem IS NOT NULL
ORDER BY tuning, f_mem, frechet, trial NULLS FIRST;
