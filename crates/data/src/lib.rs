//! Speech corpora, splits by speaker, a synthetic corpus, and an HDF5 feature store.
