"""What a hurried user gets wrong: exit code 2, a sentence that helps, no traceback, nothing damaged."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import main
from kpe_core.store.store import Store
from kpe_core.study.runs import Run

Kpe = Callable[..., str]


@pytest.fixture
def mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kpe:
    """Runs ``kpe`` with arguments, expects exit code 2 and no traceback; returns what it said."""

    def call(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["kpe", *args])
        with pytest.raises(SystemExit) as exit_:
            main()
        said = capsys.readouterr().err
        assert exit_.value.code == 2, said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 6
        return " ".join(said.split())

    return call


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("experiments.planar.sampling.n_sample=5", "did you mean 'n_samples'"),
        ("experiments.planar.samplings.n_samples=5", "did you mean 'sampling'"),
        ("experiments.planar.sampling.nfe=0", "greater than or equal to 1"),
        ("experiments.planar.sampling.nfe=many", "valid integer"),
        ("experiments.shaped.sampling.shapings=[{beta0: 0.08}]", "0 ≤ beta0 ≤ 0.0524"),
        ("experiments.planar.data.name=mnst", "did you mean 'mnist'"),
        ("experiments.planar.data.name=mnist", "train-images-idx3-ubyte is missing; looked for"),
        ("experiments.planar.data.size=32", "'size' is not a choice of data set 'dense_sparse'"),
        ("experiments.planar.sampling.classes=1", "this field is not asked by class"),
        ("experiments.shaped.sampling.classes=[0, ten]", "'digits' has no class 'ten'; classes are numbered 0 to 9"),
        ("experiments.planar.data.n_train=99999", "the train split of 'dense_sparse' has 2000 points"),
        ("experiments.nothere.data.seed=1", "there are planar, shaped"),
        ("experiments.planar.data.seed", "should read key.path=value"),
        ("experiments.planar.fields.kind=magic", "must be one of 'exact', 'mlp', 'unet'"),
    ],
)
def test_wrong_values(mistake: Kpe, tiny_file: Path, tmp_path: Path, override: str, says: str) -> None:
    said = mistake("run", str(tiny_file), "--store", str(tmp_path / "s"), "--set", override)
    assert says in said
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workers", "0"], "--workers '0': expected whole numbers from 1"),
        (["--workers", "1,many"], "such as 8 or 1,2,64"),
        (["--gpus", "-2"], "--gpus '-2': expected whole numbers from 1"),
        (["--gpus", "4", "--workers", "1,2"], "beside --gpus it is one number"),
        (["--device-speed", "0"], "expected how many times as fast as measured"),
        (["--device-speed", "fast"], "--device-speed 'fast'"),
        (["--store-bandwidth", "fast"], "such as 200MB/s"),
        (["--store-bandwidth=-5MB/s"], "must be above zero"),
        (["--gpus", "4"], "--device-speed"),
    ],
)
def test_machines_that_cannot_be(mistake: Kpe, tiny_file: Path, tmp_path: Path, options: list[str], says: str) -> None:
    assert says in mistake("plan", str(tiny_file), "--store", str(tmp_path / "s"), *options)
    assert not (tmp_path / "s").exists()


PLANAR, SHAPED = "experiments.planar.", "experiments.shaped."


@pytest.mark.parametrize(
    ("override", "says"),
    [
        # solvers, and what they take
        (PLANAR + "sampling.solvers=eular", "'euler', 'midpoint', 'heun', 'heun_ke', 'rk4' or 'dopri5'"),
        (PLANAR + "sampling={solvers: [rk4], nfe: 22}", "rk4 takes 4 evaluations a step, so nfe must divide by 4"),
        (PLANAR + "sampling.tolerance=1e-12", "greater than or equal to 0.0000000001"),
        (PLANAR + "sampling.states=every", "should be a mapping with the keys every, keep"),
        # bridges
        (PLANAR + "fields.bridge=cosin", "bridge.kind = 'cosin': must be one of 'linear', 'cosine'"),
        (PLANAR + "fields.bridge={kind: polynomial, coefficients: [-1, 2]}", "gamma falls at t = 0"),
        (PLANAR + "fields.bridge={kind: formula, gamma: t**2, rate: t}", "rate is not the derivative of gamma"),
        (PLANAR + "fields.bridge={kind: formula, gamma: t^2, rate: 2*t}", "^ is not a power here; write **"),
        # given gains
        (PLANAR + "sampling.shapings={eta: 1 - 2*t}", "eta is 0 at t = 0.5; it must be positive for every t < 1"),
        (PLANAR + "sampling.shapings={eta: [[0, 1], [0.5, 2]]}", "[0.0, 0.5]; they must increase from 0 to 1"),
        (PLANAR + "sampling.shapings={eta: 1 + t, alpha0: 0.1}", "so alpha0 cannot be given beside it; remove one"),
        (PLANAR + "sampling.shapings=[{}, {eta: '1'}]", "more than one is plain"),
        # guidance and classes
        (PLANAR + "sampling.guidance=2.0", "guidance needs classes"),
        (SHAPED + "sampling.guidance=-1.0", "greater than or equal to 0"),
        (SHAPED + "sampling.guidance=2.0", "give it label_dropout, e.g. 0.1"),
        (SHAPED + "data.n_train=5", "none of the 5 training points is of class 5, 6, 7, 8, 9; raise data.n_train"),
        # densities
        (PLANAR + "measure.densities=[{estimator: kde, bandwidth: silvermann}]", "did you mean 'silverman'?"),
        (
            PLANAR + "measure.densities=[{estimator: knn, k: 200, leave_one_out: true}]",
            "201 neighbours are asked of 200",
        ),
        (PLANAR + "measure.densities=[{estimator: knn}, {estimator: knn}]", "the same estimator twice; remove one"),
        (PLANAR + "measure.densities=knn", "should be a list"),
        (SHAPED + "measure.densities=[{estimator: truth}]", "the density behind 'digits' is not known"),
        (SHAPED + "measure.densities=[{estimator: kde, covariance: full}]", "64 training points in 64 dimensions"),
        (PLANAR + "measure.probe=-1", "greater than or equal to 0"),
        (PLANAR + "measure.probe=yes", "valid integer"),
    ],
)
def test_wrong_choices(mistake: Kpe, tiny_file: Path, tmp_path: Path, override: str, says: str) -> None:
    assert says in mistake("plan", str(tiny_file), "--store", str(tmp_path / "s"), "--set", override)
    assert not (tmp_path / "s").exists()


def test_classes_are_missed_before_anything_runs(mistake: Kpe, tiny_file: Path, tmp_path: Path) -> None:
    """However few are asked for together."""
    store = tmp_path / "s"
    sets = ("--set", f"{SHAPED}fields={{kind: exact, conditional: true}}", "--set", f"{SHAPED}data.n_train=5")
    said = mistake("run", str(tiny_file), "--store", str(store), *sets, "--set", f"{SHAPED}sampling.batch=2")
    assert "none of the 5 training points is of class 5, 6, 7, 8, 9" in said
    assert not store.exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ("--set", "tune.run=planar"),
            "planar.measure.spaces is empty, so 'planar' has no Fréchet distance to tune for",
        ),
        (("--set", f"{SHAPED}sampling.shapings={{beta0: 0.02}}", "--set", "tune.run=shaped"), "name one of planar"),
        (("--set", "experiments.*.sampling.shapings={beta0: 0.02}"), "study 'tiny' has no plain run to tune"),
        (("--trials", "0"), "tune.trials = 0: input should be greater than or equal to 1"),
        (("--samples", "-5"), "tune.samples = -5: input should be greater than or equal to 1"),
        (
            ("--set", "tune.slowdown=[0.5, 1.5]"),
            "tune.slowdown: [0.5, 1.5] should be the lowest and the highest to try",
        ),
        (("--set", "tune.space=clip"), "tune.space = 'clip': 'shaped plain' has classifier"),
        (("--set", "tune.tua=0.5"), "did you mean 'tau'?"),
        (("--cluster", "locl"), "did you mean 'local'"),
    ],
)
def test_what_cannot_be_tuned(mistake: Kpe, tiny_file: Path, tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    assert says in mistake("tune", str(tiny_file), "--store", str(tmp_path / "s"), *args)
    assert not (tmp_path / "s").exists()


def test_missing_study_names_the_nearest(mistake: Kpe, tmp_path: Path) -> None:
    assert "did you mean 'first-look'" in mistake("plan", "first-lok")


def test_study_that_is_no_yaml(mistake: Kpe, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: [unclosed")
    assert "not valid YAML" in mistake("plan", str(tmp_path / "bad.yaml"))


def test_no_store(mistake: Kpe, tmp_path: Path) -> None:
    assert "no store at" in mistake("ls", "--store", str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_read_only_folder(tmp_path: Path, tiny_file: Path) -> None:
    """Root may write anywhere, so the folder is one nobody may write to."""
    command = [sys.executable, "-m", "flows.cli", "run", str(tiny_file), "--store", "/proc/kpe-store"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "cannot write to the store" in done.stderr
    assert "Traceback" not in done.stderr


def test_store_path_is_a_file(mistake: Kpe, tiny_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot write to the store" in mistake("run", str(tiny_file), "--store", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_store_of_other_numerics(mistake: Kpe, tiny_file: Path, tmp_path: Path) -> None:
    Store.create_or_open(str(tmp_path))
    Store(str(tmp_path)).write_about(numerics=999)
    assert "numerics version 999" in mistake("run", str(tiny_file), "--store", str(tmp_path))


def test_unknown_cluster(mistake: Kpe, tiny_file: Path, tmp_path: Path) -> None:
    assert "did you mean 'local'" in mistake("run", str(tiny_file), "--store", str(tmp_path), "--cluster", "locl")


def test_unknown_run(mistake: Kpe, tiny_store: Store) -> None:
    assert "no run 'feedbeef'" in mistake("verify", "feedbeef", "--store", tiny_store.url)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("show", "feedbeef"), "no run 'feedbeef'"),
        (("accept", "feedbeef", "--reason", "why not"), "no run 'feedbeef'"),
        (("accept", "{run}", "--reason", " "), "takes a reason"),
        (("accept", "{run}", "--reason", "why not"), "is visible: it failed nothing"),
        (("accept", "{run}"), "Missing option '--reason'"),
    ],
)
def test_quality_commands(
    mistake: Kpe, tiny_store: Store, tiny_runs: list[Run], args: tuple[str, ...], says: str
) -> None:
    filled = [arg.format(run=tiny_runs[0].run_id[:10]) for arg in args]
    assert says in mistake("quality", *filled, "--store", tiny_store.url)


def test_quality_of_a_store_that_is_not_there(mistake: Kpe, tmp_path: Path) -> None:
    for args in ((), ("show", "a"), ("accept", "a", "--reason", "b")):
        assert "no store at" in mistake("quality", *args, "--store", str(tmp_path / "s"))
        assert not (tmp_path / "s").exists()


def test_an_expectation_that_cannot_be_checked_is_refused_before_anything_runs(
    mistake: Kpe, tiny_file: Path, tmp_path: Path
) -> None:
    def said(expectation: str) -> str:
        return mistake("run", str(tiny_file), "--store", str(tmp_path / "s"), "--set", f"quality=[{expectation}]")

    small = "table: samples, means: small energies, expectation: expect_column_values_to_be_between"
    assert "did you mean 'kpe'?" in said(f"{{{small}, args: {{column: kpee, max_value: 1}}}}")
    assert "did you mean 'max_value'?" in said(f"{{{small}, args: {{column: kpe, max_valu: 1}}}}")
    assert "did you mean 'severity'?" in said(f"{{{small}, severety: warning}}")
    assert not (tmp_path / "s").exists()


def test_copying_and_removing(mistake: Kpe, tiny_store: Store, tiny_runs: list[Run], tmp_path: Path) -> None:
    here, there = ("--from", tiny_store.url), ("--to", str(tmp_path / "there"))
    run = tiny_runs[0].run_id
    assert "no run 'zz'" in mistake("cp", "zz", *here, *there)
    assert "say where to copy to: --to DEST" in mistake("cp", run, *here)
    assert "or --study NAME, and not both" in mistake("cp", *here, *there)
    assert "or --study NAME, and not both" in mistake("cp", run, "--study", "tiny", *here, *there)
    assert "holds no study 'tyni'; it has tiny" in mistake("cp", "--study", "tyni", *here, *there)
    assert "are the same store" in mistake(
        "cp", run, *here, "--to", f"{tiny_store.url}/../{Path(tiny_store.root).name}/"
    )
    assert "no store at" in mistake("cp", run, "--from", str(tmp_path / "nothing"), *there)
    assert not (tmp_path / "there").exists()
    assert "cannot write to the store" in mistake("cp", run, *here, "--to", "/proc/kpe-store")
    assert "no run 'zz'" in mistake("rm", "zz", "--store", tiny_store.url)
    assert "no store at" in mistake("rm", run, "--store", str(tmp_path / "nothing"))
    assert "is compared with run" in mistake("rm", tiny_runs[1].run_id, "--store", tiny_store.url)
    assert "no store at" in mistake("gc", "--store", str(tmp_path / "nothing"))
    assert "write a number and a unit" in mistake("gc", "--store", tiny_store.url, "--older-than", "yesterday")
    assert list(tmp_path.iterdir()) == []


def test_unknown_analysis(mistake: Kpe, tiny_store: Store) -> None:
    args = ("--study", "tiny", "--store", tiny_store.url)
    assert "did you mean 'memorization'" in mistake("analyses", "run", "memorisation", *args)
    assert "did you mean 'memorization'" in mistake("analyses", "show", "memorisation")
    assert "holds no study 'tyni'; it has tiny" in mistake("analyses", "run", "trends", "--study", "tyni", *args[2:])
    ask = ("analyses", "run", "quantile_metrics", *args)
    assert "did you mean 'quantiles'" in mistake(*ask, "--param", "quantile=3")
    assert "did you mean 'margin'" in mistake(*ask, "--param", "column=margn")
    assert 'no numeric column "kpe) FROM' in mistake(*ask, "--param", "by=kpe) FROM read_csv('/etc/passwd'")
    assert "a whole number from 2 to 1000" in mistake(*ask, "--param", "quantiles=many")
    assert "write name=value" in mistake(*ask, "--param", "quantiles")
    assert "no format 'cvs'" in mistake(*ask, "--format", "cvs")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT kp FROM samples", '"kpe"'),
        ("SELECT * FROM sample", "samples"),
        ("DROP VIEW samples", "DROP is refused"),
        ("CREATE TABLE t(i int)", "CREATE is refused"),
        ("COPY samples TO '{tmp}/out.csv'", "COPY is refused"),
        ("ATTACH '{tmp}/other.db'", "ATTACH is refused"),
        ("SET memory_limit='1GB'", "SET is refused"),
        ("SELECT * FROM read_csv('/etc/passwd')", "--allow-read"),
        ("SELECT 1; DROP VIEW samples", "one statement at a time"),
        ("", "one statement at a time"),
    ],
)
def test_sql_that_is_wrong_or_writes(mistake: Kpe, tiny_store: Store, tmp_path: Path, query: str, says: str) -> None:
    def state() -> str:
        h = hashlib.sha256()
        for path in sorted(p for p in Path(tiny_store.root).rglob("*") if p.is_file()):
            h.update(f"{path}{path.stat().st_mtime_ns}".encode())
        return h.hexdigest()

    before = state()
    assert says in mistake("sql", query.format(tmp=tmp_path), "--store", tiny_store.url)
    assert state() == before
    assert list(tmp_path.iterdir()) == []


def test_configured_server_that_is_down(tiny_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", str(tiny_file), "--store", str(tmp_path)]
    environment = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "does not answer" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, kpe_core, flows.cli\n"
        "sys.argv = ['kpe', '--help']\n"
        "try: flows.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch','prefect','great_expectations','dask','pandas','optuna'}\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().splitlines()[-1] == "[]"
