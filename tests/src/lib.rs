//! Tests that cross crates, and goldens made by peers.
