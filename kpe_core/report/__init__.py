"""What a study said: findings in sentences, figures, and one HTML page that holds both.

build.build(store, study)         answers, findings, figures and page in one object
build.write_report(store, study)  the same, written to studies/<name>/report.html and findings.json
"""
