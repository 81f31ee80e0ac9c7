"""A study's figures, chosen and captioned. Shaped runs with a plain twin appear only where shaping is the question."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from matplotlib.figure import Figure

from kpe_core.catalog.catalog import Catalog
from kpe_core.report import figures_energy as energy
from kpe_core.report import figures_samples as samples
from kpe_core.report import figures_strata as strata
from kpe_core.report import figures_theory as theory
from kpe_core.report import figures_training as training
from kpe_core.report import figures_trends as trends
from kpe_core.report.claims import by_run, without_semantics
from kpe_core.report.claims_density import headlines
from kpe_core.report.drawing import FigureEntry, data_uri, figure_png
from kpe_core.report.material import StudyRun, answers_of, study_runs
from kpe_core.store.store import Store
from kpe_core.study.specs import Study

__all__ = ["FigureEntry", "data_uri", "figure_png", "figures"]

PANELS = 9
IMAGE_RUNS = 3
PLANAR_RUNS = 4


def figures(
    store: Store, catalog: Catalog, study: Study, answers: Mapping[str, pa.Table] | None = None
) -> list[FigureEntry]:
    """Every figure the study's runs give rise to, in the order a reader wants them.

    ``answers``: the study's analyses by name, where the caller has them already.
    """
    answers = dict(answers) if answers is not None else answers_of(catalog, study.name)
    every = study_runs(catalog, study.name)
    labels = {r.run for r in every}
    main = [r for r in every if r.baseline not in labels]
    shapes = {r.run: samples.prepared_of(store, r).shape for r in main}
    images = [r for r in main if len(shapes[r.run]) >= 2]
    plane = [r for r in main if shapes[r.run] == (2,)]
    judged = [r for r in main if not without_semantics(answers, r.label)]
    with_density = [r for r in main if r.label in headlines(answers)]
    exact = by_run(answers, "theorem_4_2")

    out: list[FigureEntry] = []

    def add(
        name: str, title: str, caption: str, chosen: Sequence[StudyRun], most: int, draw: Callable[..., Figure]
    ) -> None:
        if chosen:
            left = len(chosen) - most
            note = f" The study's first {most} such runs; {left} more are not drawn." if left > 0 else ""
            out.append(FigureEntry(name, title, caption + note, figure_png(draw(chosen[:most]))))

    add(
        "energy-density", "Energy against density",
        "Each dot is a sample. Where colour (the endpoint's norm) orders the dots as well as their height does, the norm "
        "may explain the correlation.",
        with_density, PANELS, lambda r: energy.energy_against_density(catalog, r, headlines(answers)),
    )  # fmt: skip
    add(
        "energy-strata", "Energy in sparse and in dense places",
        "Samples in equally filled strata of the log density of their endpoints: median and middle half of KPE.",
        [r for r in main if strata.strata_of(answers, r.label)], PANELS,
        lambda r: strata.energy_by_stratum(answers, r),
    )  # fmt: skip
    add(
        "planar-energy", "Energy in the plane",
        "Above, the training points in prepared coordinates; below, the endpoints, brighter where their paths took more "
        "energy. The colour scale ends at the 2nd and 98th percentile.",
        plane, PLANAR_RUNS, lambda r: samples.planar(store, catalog, r),
    )  # fmt: skip
    add(
        "energy-extremes", "Lowest and highest energy within each class",
        f"The {samples.EACH} samples of lowest KPE (left) and of highest KPE (right) of every class.",
        images, IMAGE_RUNS, lambda r: samples.energy_extremes(store, catalog, r),
    )  # fmt: skip
    add(
        "copies", "Samples beside the training images nearest to them",
        "A sample counts as memorized when its nearest training image is much nearer than the second nearest: "
        "d₁/d₂ < 1/3, unless the study sets another threshold.",
        images, IMAGE_RUNS, lambda r: samples.copies(store, catalog, r),
    )  # fmt: skip
    add(
        "memorized-energy", "Memorized share by energy",
        "Samples of each run in five equal parts by KPE; bars are Wilson's 95 % intervals.",
        main, trends.SERIES, lambda r: trends.memorized_by_energy(answers, r),
    )  # fmt: skip
    add(
        "semantics-energy", "Score and margin by energy",
        "Score: the logit (for CLIP and prototypes 100·cos) of the class asked for, else of the class predicted; margin: "
        "score minus the best other. Bars are 95 % intervals of the mean.",
        judged, trends.SERIES, lambda r: trends.semantics_by_energy(answers, r),
    )  # fmt: skip
    by_label = {r.label: r for r in main}
    families = training.families(answers, by_label)
    if families:
        add(
            "training", "What longer training does",
            "Runs that differ by their network's training steps alone, on the same noise. Bars are 95 % intervals; the "
            "loss is that of the whole training, averaged over a few hundred stretches.",
            main, len(main), lambda r: training.over_steps(store, families, by_label),
        )  # fmt: skip
    if trends.tradeoffs(answers):
        add(
            "shaping-tradeoff", "What shaping trades",
            "Change against the plain run on the same noise. Crosses are paired 95 % bootstrap intervals; below zero "
            "fewer samples are memorized, left of zero the Fréchet distance (in the first space) is smaller.",
            main, len(main), lambda r: trends.shaping_tradeoff(answers),
        )  # fmt: skip
    if strata.curves(answers):
        add(
            "goldilocks", "Quality and memorization against energy",
            "Runs of one experiment by their mean KPE, with 95 % intervals. A Goldilocks energy is one at which the "
            "Fréchet distance (circles) is low and few samples are memorized (squares).",
            main, len(main), lambda r: strata.goldilocks(answers),
        )  # fmt: skip
    add(
        "power", "When the energy is spent",
        "Mean effective power ‖ηv‖² over time (0 is noise, 1 is data), and the band of the middle 80 % of samples.",
        main, PANELS, lambda r: energy.power_over_time(answers, r),
    )  # fmt: skip
    add(
        "cumulative-energy", "Energy spent up to t",
        "Mean and middle 80 % of samples. The dashed line is the split of early and late energy.",
        main, PANELS, lambda r: energy.cumulative_energy(catalog, r),
    )  # fmt: skip
    add(
        "energy-histograms", "How energy is distributed", "Kinetic path energy of every sample; the line is the median.",
        main, PANELS, lambda r: energy.energy_histograms(catalog, r),
    )  # fmt: skip
    add(
        "theorem-4-2", "The exact field against Theorem 4.2",
        "Grey: share of samples with a posterior weight above 0.9, where the theorem begins to speak. There, the slope of "
        "‖v*‖² on −log p_t should be the predicted one (green at 1), and R² (blue) the predicted one (dashed), which says "
        "how loose “affine” is.",
        [r for r in main if r.label in exact], PANELS, lambda r: theory.theory_over_time(catalog, r),
    )  # fmt: skip
    return out
