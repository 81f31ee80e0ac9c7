"""Targets that read what people write: study files, --set, formulas, cluster profiles, class names, arguments of `kpe`."""

import random
import sys
from pathlib import Path
from typing import Any

from kpe_core.documents import parse_yaml
from kpe_core.errors import UserError
from kpe_core.study.load import STUDIES, load_study
from kpe_core.study.runs import cells
from tests.fuzz.harness import Target
from tests.fuzz.mutate import NAMES, TEXTS, dumped, hostile, mutated, mutated_bytes, mutated_text

RICH = """
name: rich
title: Every kind of choice
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 200, held_out: 0.3, seed: 3, prepare: {scaling: raw, scale: 2.0}}
    fields: [{kind: exact, dtype: float32, bridge: {kind: cosine}}, {kind: exact, bridge: {kind: formula, gamma: "t**2*(3 - 2*t)", rate: "6*t*(1 - t)"}}]
    sampling: {n_samples: 240, nfe: [20, 40], batch: 20, states: {keep: every, every: 5}, solvers: [euler, heun, dopri5], tolerance: 1e-4}
    measure: {densities: [{estimator: knn, k: 5}, {estimator: kde, bandwidth: silverman, covariance: full}, {estimator: truth}]}
  - name: shaped
    data: {name: digits, n_train: 64, prepare: {pool: 2}}
    fields: {kind: mlp, width: 32, depth: 1, steps: 2500, batch: 16, checkpoints: [500, 1000], label_dropout: 0.1}
    sampling: {n_samples: 120, nfe: 20, guidance: [1.0, 1.5], classes: [0, 3], shapings: [{}, {alpha0: 0.1, beta0: 0.02, tau: 0.5}, {eta: "1 - 0.1*t"}]}
    measure: {spaces: [{extractor: classifier, epochs: 1}, {extractor: pca, name: p, components: 8}], bootstrap: 200}
  - name: own
    data: {name: array, root: x.npz, labels: y, value_range: [0, 255], class_names: names.txt}
    fields: {kind: pretrained, layout: torchcfm, path: w.pt, predicts: noise, betas: {kind: cosine}, n_classes: 10, null_label: 10}
    expect: nothing in particular
  - name: folder
    data: {name: image_folder, root: pictures, size: 16, crop: 32, colour: true}
    fields: {kind: unet, channels: 16, multipliers: [1, 2], bridge: {kind: polynomial, coefficients: [0.5, 0.5]}}
quality: [{table: samples, means: is small, expectation: expect_column_values_to_be_between, args: {column: kpe, max_value: 9}, when: {field: exact}}]
tune: {run: planar, trials: 8, alpha0: [0, 0.1], tau: [0.2, 0.8], launch: [none, linear]}
"""  # noqa: E501


def texts() -> list[str]:
    return [RICH, *(path.read_text(encoding="utf-8") for path in sorted(STUDIES.glob("*.yaml")))]


def study(folder: Path) -> Target:
    """Whole study files: documents edited by their keys, texts by their lines, bytes at random."""
    sources = texts()
    documents = [parse_yaml(text) for text in sources]
    path = folder / "study.yaml"

    def make(rng: random.Random) -> bytes:
        kind = rng.random()
        if kind < 0.6:
            return dumped(mutated(rng, rng.choice(documents), documents))
        if kind < 0.9:
            return mutated_text(rng, rng.choice(sources)).encode("utf-8", "surrogatepass")
        return mutated_bytes(rng, rng.choice(sources).encode())

    def run(given: bytes) -> None:
        path.write_bytes(given.replace(b"{canary}", str(folder.parent / "canary").encode()))
        for _ in cells(load_study(str(path))):
            pass

    return Target("study", make, run, folder)


def overrides(folder: Path) -> Target:
    """--set KEY=VALUE on a valid study: paths through it and beside it, values of every kind."""
    path = folder / "rich.yaml"
    path.write_text(RICH, encoding="utf-8")
    document = parse_yaml(RICH)
    keys = sorted(_keys(document))

    def make(rng: random.Random) -> tuple[str, ...]:
        return tuple(_override(rng, keys) for _ in range(rng.choice([1, 1, 2, 5])))

    def run(given: tuple[str, ...]) -> None:
        for _ in cells(load_study(str(path), given)):
            pass

    return Target("--set", make, run, folder)


def _override(rng: random.Random, keys: list[str]) -> str:
    key = rng.choice(keys)
    match rng.randrange(6):
        case 0:
            key = mutated_text(rng, key)
        case 1:
            start = rng.choice(keys).split(".")[: rng.randrange(1, 6)]
            key = ".".join([*start, rng.choice(["x", "0", "*", "-1", "name", "", "99"])])
        case 2:
            key = key.replace("experiments.0", "experiments.*")
    value = rng.random()
    if value < 0.5:
        text = dumped(hostile(rng)).decode("utf-8", "surrogatepass").removesuffix("\n...\n").strip()
    elif value < 0.8:
        text = rng.choice([*TEXTS, *NAMES])
    else:
        text = mutated_text(
            rng, rng.choice(["[1, 2]", "{kind: exact}", "1e-3", "[{}, {beta0: 0.02}]", "{extractor: pca}", "'1 - t'"])
        )
    return key + ("=" if rng.random() < 0.97 else "") + text


def _keys(node: Any, path: str = "") -> set[str]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = set()
    for key, value in inner:
        where = f"{path}.{key}" if path else str(key)
        found |= {where, *_keys(value, where)}
    return found


# -- formulas ----------------------------------------------------------------------------------------------------------

ATOMS = [
    "t",
    "t",
    "t",
    "1",
    "0",
    "2",
    "0.5",
    "pi",
    "e",
    "1e15",
    "1e16",
    "99",
    "1e-300",
    "x",
    "True",
    "1j",
    "'a'",
    "[t]",
    "t.real",
    "None",
]
CALLS = ["sin", "exp", "log", "sqrt", "tan", "abs", "minimum", "max", "eval", "open", "getattr", "__import__"]


def formula(folder: Path) -> Target:
    """Formulas of t drawn from a grammar wider than ours."""
    from kpe_core.study.curves import require_gain, require_schedule
    from kpe_core.study.formula import parse

    def make(rng: random.Random) -> str:
        text = _expression(rng, rng.choice([1, 2, 3, 5, 9]))
        return mutated_text(rng, text) if rng.random() < 0.2 else text

    def run(given: str) -> None:
        read = parse.__wrapped__(given)
        require_gain(read)
        require_schedule(read, parse.__wrapped__("1 + 0*t"))

    return Target("formula", make, run, folder)


def _expression(rng: random.Random, depth: int) -> str:
    if depth <= 0 or rng.random() < 0.15:
        return rng.choice(ATOMS)
    a, b = _expression(rng, depth - 1), _expression(rng, depth - rng.choice([1, 2]))
    match rng.randrange(8):
        case 0 | 1 | 2:
            return f"({a} {rng.choice(['+', '-', '*', '/', '**', '//', '%', '@', '<<', '|', 'and'])} {b})"
        case 3:
            return f"{rng.choice(CALLS)}({a})"
        case 4:
            return f"{rng.choice(CALLS)}({a}, {b})"
        case 5:
            return f"({a} if {b} {rng.choice(['<', '<=', '>', '==', 'in', 'is'])} {_expression(rng, 0)} else {b})"
        case 6:
            return f"{rng.choice(['-', '+', '~', 'not ', 'lambda: ', 'await ', '*'])}{a}"
        case _:
            return rng.choice([f"[{a} for t in {b}]", f"({a}, {b})", f"{a}[{b}]", f"{a} := {b}", f"f'{{{a}}}'", a])


# -- small files -------------------------------------------------------------------------------------------------------


def profile(folder: Path) -> Target:
    """Cluster profiles."""
    from flows.profiles import CLUSTERS, load_profile

    sources = [path.read_text(encoding="utf-8") for path in sorted(CLUSTERS.glob("*.yaml"))]
    documents = [parse_yaml(text) for text in sources]
    path = folder / "profile.yaml"

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return dumped(mutated(rng, rng.choice(documents), documents))
        return mutated_text(rng, rng.choice(sources)).encode("utf-8", "surrogatepass")

    def run(given: bytes) -> None:
        path.write_bytes(given)
        load_profile(str(path), None)

    return Target("profile", make, run, folder)


def names(folder: Path) -> Target:
    """Files of class names."""
    from kpe_core.data.class_names import read_names

    sources = [
        b"cat\ndog\n", b"n01440764 tench, Tinca tinca\nn01443537 goldfish\n", b'["cat", "dog"]',
        b'{"0": "cat", "1": "dog"}',
        b'{"id2label": {"0": ["n01440764", "tench"], "1": "x"}}',
    ]  # fmt: skip

    def make(rng: random.Random) -> tuple[str, bytes]:
        name, source = rng.choice(["classes.txt", "classes.json"]), rng.choice(sources)
        if rng.random() < 0.5:
            return name, mutated_text(rng, source.decode()).encode("utf-8", "surrogatepass")
        return name, mutated_bytes(rng, source)

    def run(given: tuple[str, bytes]) -> None:
        (folder / given[0]).write_bytes(given[1])
        read_names(folder / given[0])

    return Target("class names", make, run, folder)


# -- the command -------------------------------------------------------------------------------------------------------

COMMANDS: list[list[str]] = [
    ["plan", "STUDY"], ["ls"], ["status"], ["status", "NAME"], ["verify"], ["verify", "ID"], ["sql", "SQL"],
    ["analyses"],
    ["analyses", "show", "NAME"], ["analyses", "run", "ANALYSIS", "--study", "NAME"],
    ["analyses", "run", "ANALYSIS", "--param", "PARAM"],
    ["data"], ["data", "NAME"], ["data", "array", "--root", "PATH"], ["models", "PATH"], ["models"],
    ["report", "STUDY"], ["quality"],
    ["quality", "show", "ID"], ["quality", "accept", "ID", "--reason", "NAME"], ["catalog", "write", "PATH"],
    ["rm", "ID", "--dry-run"],
    ["gc"], ["cp", "--study", "NAME", "--to", "PATH"],
]  # fmt: skip


def command(folder: Path, store: str, run_id: str) -> Target:
    """`kpe` with arguments nobody should give, its store a finished one; whatever starts no server."""
    from flows.cli import main

    (folder / "rich.yaml").write_text(RICH, encoding="utf-8")

    def word(rng: random.Random, kind: str) -> str:
        text = {
            "STUDY": ["first-look", str(folder / "rich.yaml"), str(folder), "/dev/null", "/etc/passwd"],
            "NAME": ["tiny", "first-look", "planar", "nothing", "density_correlation"],
            "ANALYSIS": ["density_correlation", "quantile_metrics", "kpe_quantiles", "trends"],
            "PARAM": ["column=kpe", "column=x; DROP", "quantiles=1e9", "quantiles=-1", "by=kpe'", "=", "a"],
            "ID": [run_id[:6], run_id, "", "z", "*", "?", "[a-"],
            "SQL": ["SELECT 1", "FROM samples", "FROM trajectory LIMIT 1", "SELECT '\x1b[31m'", "FROM runs"],
            "PATH": [
                str(folder / "out"),
                str(folder),
                "/dev/null",
                "/etc/passwd",
                "/proc/self/mem",
                "s3x://a/b",
                "a\x00b",
                "x" * 5000,
            ],
        }[kind]
        return rng.choice([*text, *NAMES, rng.choice(TEXTS)]) if rng.random() < 0.4 else rng.choice(text)

    def make(rng: random.Random) -> list[str]:
        args = [word(rng, part) if part.isupper() else part for part in rng.choice(COMMANDS)]
        if args[:1] not in (["data"], ["models"]) and args != ["analyses"] and args[:2] != ["analyses", "show"]:
            args += ["--store", store if rng.random() < 0.85 else word(rng, "PATH")]
        if rng.random() < 0.15:
            args.insert(
                rng.randrange(1, len(args) + 1),
                rng.choice([*NAMES, "--help", "--format", "--set", "--", "--nothing", "json"]),
            )
        if args[0] == "plan" and rng.random() < 0.5:
            args += ["--set", _override(rng, ["experiments.0.sampling.nfe", "experiments", "title"])]
        return args

    def run(given: list[str]) -> None:
        import io
        from contextlib import redirect_stderr, redirect_stdout

        out, err, before = io.TextIOWrapper(io.BytesIO()), io.StringIO(), sys.argv
        sys.argv = ["kpe", *given]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.argv = before
        told = err.getvalue()
        assert "\x1b" not in told, "escape sequences reach the terminal"
        if code == 2:
            raise UserError(told or "said nothing")
        assert code in (0, 1, None), f"exit code {code}: {told}"

    return Target("command", make, run, folder)
