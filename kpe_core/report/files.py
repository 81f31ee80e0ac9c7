"""The report in the store: written when something it is made of has changed, read back by whoever publishes it."""

import hashlib
from pathlib import Path
from typing import Any

from kpe_core.catalog.analyses import analyses
from kpe_core.identity import digest
from kpe_core.report.findings import as_dicts, summary
from kpe_core.stages.manifest import manifests
from kpe_core.store.sealed import sealed_html
from kpe_core.store.store import Store
from kpe_core.study.specs import Study


class ReportFiles:
    """``studies/<name>/``: report.html, findings.json, summary.txt, figures/, and report.json, written last."""

    def __init__(self, store: Store, study_name: str) -> None:
        self.store = store
        self.name = study_name
        self.folder = f"studies/{study_name}"

    @property
    def html_path(self) -> str:
        return self.store.address(f"{self.folder}/report.html")

    def exists(self) -> bool:
        return self.store.exists(f"{self.folder}/report.json")

    def summary(self) -> str:
        """The findings in lines for a terminal."""
        return self.store.read(f"{self.folder}/summary.txt").decode()

    def findings(self) -> list[dict[str, Any]]:
        """Every finding: topic, run_label, verdict, sentence, analysis."""
        return list(self.store.read_json(f"{self.folder}/findings.json"))

    def figures(self) -> list[dict[str, str]]:
        """Every figure: name, title, caption."""
        return list(self.store.read_json(f"{self.folder}/report.json")["figures"])

    def png(self, figure: str) -> bytes:
        return self.store.read(f"{self.folder}/figures/{figure}.png")

    def write(self, study: Study, again: bool = False) -> str:
        """Build and write the report, unless it is there and made of the same; ``again`` builds it anyway."""
        made_of = self._made_of(study)
        record = f"{self.folder}/report.json"
        if not again and self.store.exists(record) and self.store.read_json(record)["made_of"] == made_of:
            return self.html_path
        # matplotlib comes with it, which a rerun that finds everything in place should not wait for.
        from kpe_core.report.build import build

        built = build(self.store, study)
        self.store.write_json(f"{self.folder}/findings.json", as_dicts(built.findings))
        plain = {"summary.txt": "\n".join(summary(built.findings)).encode()}
        plain |= {f"figures/{figure.name}.png": figure.png for figure in built.figures}
        for name, data in plain.items():
            self.store.write(f"{self.folder}/{name}", data)
        self.store.write(f"{self.folder}/report.html", sealed_html(built.html))
        figures = [{"name": f.name, "title": f.title, "caption": f.caption} for f in built.figures]
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in plain.items()}
        self.store.write_json(record, {"made_of": made_of, "figures": figures, "plain": digests})
        return self.html_path

    def _made_of(self, study: Study) -> str:
        """Hash of the study, its runs' tables, their comparisons, the analyses, and the code that tells of them."""
        members = self.store.read_json(f"{self.folder}/runs.json")
        ids = {row["run"] for row in members}
        members_told = [m for m in manifests(self.store) if m["run_id"] in ids]
        tables: list[Any] = [[m["run_id"], m["tables"], m.get("accepted")] for m in members_told]
        compared = [name for name in self.store.list("comparisons") if name.split("-")[0] in ids]
        sources = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.*"))]
        sql = [analysis.sql for analysis in analyses()]
        return digest(study.model_dump(mode="json"), members, tables, compared, sql, sources)
