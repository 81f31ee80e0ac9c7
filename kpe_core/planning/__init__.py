"""What a study would take on machines that are not here: its work from measured times, its course by simulation."""
