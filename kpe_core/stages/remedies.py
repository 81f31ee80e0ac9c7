"""What to do about damaged objects that no stage makes from the store alone."""

import fnmatch
from typing import NamedTuple


class Remedy(NamedTuple):
    """What is said when the damaged object has been removed; whether nothing is left to do."""

    sentence: str
    complete: bool


_WRITTEN_BY = "removed; {} writes it again from what the store holds"
_RECORDING = Remedy("removed: it was a recording, and nothing is computed from it", True)
_REMEDIES = {
    "weights/*/checkpoint.pt": Remedy("removed; the training begins anew, and comes to the same weights", True),
    "studies/*/telemetry/*.parquet": _RECORDING,
    "studies/*/status.json": _RECORDING,
    "studies/*/performance.html": _RECORDING,
    "studies/*/last.json": Remedy("removed; the next rerun compares with what the store holds now", True),
    "studies/*/runs.json": Remedy(_WRITTEN_BY.format("`kpe run` of the study"), False),
    "studies/*": Remedy(_WRITTEN_BY.format("`kpe report` of the study"), False),
    "tunings/*": Remedy(_WRITTEN_BY.format("`kpe tune` of the study"), False),
    "quality/docs/index.html": Remedy("removed; the next run that is checked writes it again", False),
    "quality/docs/*": Remedy("removed; `kpe quality show RUN` shows the same checks", False),
    "watch/*/seen.json": Remedy("removed; every checkpoint is read once more", True),
    "watch/*": Remedy("removed; its checkpoint counts as not seen before", False),
    "runs/*/quarantine.json": Remedy("removed; `kpe run` of the study checks the run again", False),
}
"""By path, the first that fits; of other objects nothing is known."""


def remedy(path: str) -> Remedy | None:
    """What removing a damaged object of that path means; None where it is to be left."""
    return next((found for pattern, found in _REMEDIES.items() if fnmatch.fnmatchcase(path, pattern)), None)
