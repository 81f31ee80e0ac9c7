-- One row per exact-field run and solver step: posterior dominance, and Theorem 4.2 as measured and as predicted.
CREATE VIEW theory AS SELECT * FROM parquet_theory;
