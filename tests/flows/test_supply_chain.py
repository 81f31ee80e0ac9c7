"""Every package that an installation brings is pinned to one version, and that version is what is installed."""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.]*)")
EXTRAS = ("dev", "bench", "fuzz", "models", "s3")
"""Those whose packages may be installed anywhere; `gpu`, `kubernetes` and `slurm` want machines of their kind."""


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = {canonicalize_name(m[1]): m[2] for line in lines if (m := PIN.fullmatch(line))}
    assert len(found) == len(lines), f"not one exact pin a line: {[x for x in lines if not PIN.fullmatch(x)]}"
    return found


def reached(name: str, extras: frozenset[str], seen: dict[tuple[str, frozenset[str]], str]) -> None:
    """Everything installed that ``name`` depends on, however far away, with its version."""
    try:
        found = distribution(name)
    except PackageNotFoundError:  # of an extra that is not installed here
        return
    key = (canonicalize_name(name), extras)
    if key in seen:
        return
    seen[key] = found.version
    for text in found.requires or ():
        needs = Requirement(text)
        if needs.marker is None or any(needs.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            reached(needs.name, frozenset(needs.extras), seen)


def test_every_dependency_is_pinned_to_what_is_installed() -> None:
    seen: dict[tuple[str, frozenset[str]], str] = {}
    reached("kpe-pipeline", frozenset(EXTRAS), seen)
    installed = {name: version for (name, _), version in seen.items() if name != "kpe-pipeline"}
    assert len(installed) > 100, "the walk has not gone far"
    pinned = pins()
    # setuptools comes with the interpreter's own pip, before there are constraints.
    assert sorted(installed.keys() - pinned.keys() - {"setuptools", "pip"}) == []
    others = {n: (v, pinned[n]) for n, v in installed.items() if n in pinned and Version(v).public != pinned[n]}
    assert others == {}, "installed, pinned"


def test_the_audit_speaks_of_the_pins_and_never_passes_what_it_could_not_ask_about() -> None:
    """Without --strict, pip-audit counts packages its database does not know as sound."""
    recipe = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "--requirement constraints.txt" in recipe
    assert "--strict" in recipe
    assert canonicalize_name("pip_audit") in pins()
