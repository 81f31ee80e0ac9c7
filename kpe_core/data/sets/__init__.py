"""The data sets, one module each; kpe_core.data.registry knows them by name."""
