"""How a study's runs go: measured while they are computed, kept in the store, read from anywhere."""
