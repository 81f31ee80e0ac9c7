"""A folder of checkpoints, watched: each one that is new and whole starts a study, once.

folder (what lies there, and is it still being written) → copy and hash → template (a study with its path) → records
"""
