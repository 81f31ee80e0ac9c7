"""The room that each kind of task needs on a worker."""

SAMPLING, MEASURING = "sampling", "measuring"
"""Fields and networks evaluated, on a GPU where there is one; memory for points and tables."""
ROOMS = frozenset({SAMPLING, MEASURING})

ROOM_OF = {
    "train": SAMPLING,
    "sample": SAMPLING,
    "features": SAMPLING,
    "measure": MEASURING,
    "measure features": SAMPLING,
    "tabulate": MEASURING,
    "judge": MEASURING,
    "compare": MEASURING,
    "report": MEASURING,
    "publish": MEASURING,
    "moved": MEASURING,
}
"""By task name."""
