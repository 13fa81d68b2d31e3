"""Studies: sources of variability, plans, isolated trials, records, the long results table."""
