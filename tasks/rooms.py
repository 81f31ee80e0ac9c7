"""The kinds of room that tasks need on a worker."""

SAMPLING, MEASURING = "sampling", "measuring"
ROOMS = frozenset({SAMPLING, MEASURING})
"""What a task needs most: networks and fields evaluated, on a GPU where there is one; or memory for points and tables."""
