"""What tests use: the deterministic simulation of whole stores."""
