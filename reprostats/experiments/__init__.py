"""The published experiments: a configuration and a trial function each."""
