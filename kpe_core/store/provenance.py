"""Where numbers come from: versions, source revision. No times, so that equal runs have equal metadata."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from kpe_core.identity import NUMERICS_VERSION


def provenance() -> dict[str, str | int | None]:
    """Versions and source revision of the process that writes."""
    found: dict[str, str | int | None] = {
        "kpe_pipeline": version("kpe-pipeline"),
        "numerics": NUMERICS_VERSION,
        "git": _git_revision(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{package: version(package) for package in ("torch", "numpy", "zarr", "xarray")},
    }
    return dict(sorted(found.items()))  # the order a plan gives back, so that metadata written again are the same bytes


def _git_revision() -> str | None:
    """The checkout's commit, with ``+changes`` where the work tree differs; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5)
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+changes" if status.stdout.strip() else "")
