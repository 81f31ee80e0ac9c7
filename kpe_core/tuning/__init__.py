"""Searching the shapings of one plain run for the front of quality and memorization; knows no orchestrator."""
