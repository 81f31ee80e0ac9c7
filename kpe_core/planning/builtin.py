"""Figures for what a store does not tell, each with how it was measured.

By the task times in the Prefect databases of 200 shards with one worker and 1000 with two (exact field in the plane,
NFE 2, no states, two samples a shard), on a 2-core machine.
"""

STARTUP = 13.0
"""Seconds from the command to the flow: Prefect's server, Dask's workers, the checks of the study. Seen: 12 to 13 s."""
WARMUP = 2.0
"""Seconds of every worker before its first task; it imports while the server starts. Seen: 1.5 to 2.5 s."""
SUBMISSION = 0.02
"""Seconds a task that driver and server need, one task after the other: 401 tasks within 7 s while others computed."""
OVERHEAD = 0.04
"""Seconds a task on its worker beside the work: 0.01 s where the machine has a core to spare, 0.04 s where it has none."""

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
