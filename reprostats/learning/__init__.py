"""Training: the loop, its fingerprints. Knows no data set and no study."""
