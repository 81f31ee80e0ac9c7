"""Figures for what a store does not tell, each with how it was measured.

By the task times in the Prefect database of 200 shards of ten samples each (exact field in the plane, NFE 4, no states;
`--shard-size 10 --workers 1`), on a 2-core machine that did other things too: their 11 s of work took 131 s.
"""

STARTUP = 25.0
"""Seconds from the command to the flow: Prefect's server, Dask's workers, the checks of the study."""
WARMUP = 10.0
"""Seconds of every worker before its first task: imports, data."""
SUBMISSION = 0.06
"""Seconds a task that driver and server need, one task after the other: 400 tasks within 25 to 36 s."""
OVERHEAD = 0.28
"""Seconds a task on its worker beside the work, most of it Prefect's: 0.33 s a task, of which 0.05 s are the work."""

CHECKING = (4.0, 1.5)
"""Seconds of the quality task: to import Great Expectations, and a run. Seen: 5 to 8 s for one, 19 s for nine runs."""
COMPARING = 1.0
"""Seconds of one shaped run's comparison with its plain twin."""
REPORTING = (6.0, 1.0)
"""Seconds of the report and its publication, and a run. Seen: 5 to 10 s for one, 13 s for nine."""
TABULATING = (2.0, 7e-4)
"""Seconds of a run's tables, and a sample: intervals by bootstrap are most. Seen: 2.5 to 4.7 s for 2000, 8 s for 10,000."""
EXAMINING = 2e-5
"""Seconds a sample that checks and report grow by: their queries read every row."""
