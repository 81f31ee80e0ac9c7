"""Velocity fields from models trained elsewhere: their files, their conventions, and the way to v(x, t, y).

file → network (layouts) → its prediction under its own time and scaling (conventions) → velocity (conversion)
"""
