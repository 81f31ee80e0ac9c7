"""The stages of a study, each an idempotent piece of work on a store: call it again and nothing is done twice.

    plan · train → resolve → sample → measure → tabulate → (judge, in tasks/quality) → compare · verify

They know neither Prefect nor Dask; tasks/ wraps them.
"""
