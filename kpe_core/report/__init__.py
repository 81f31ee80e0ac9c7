"""What a study said: findings in sentences, figures, and one HTML page that holds both.

    build.build(store, study)               answers, findings, figures and page, in memory
    files.ReportFiles(store, name).write()  the same, in studies/<name>/, when something it is made of has changed

The way through: material (what is read) → claims_* (what is judged) → findings → figures_* → html.
"""
