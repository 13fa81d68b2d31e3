"""Questions to a results table, and the report that answers them."""
