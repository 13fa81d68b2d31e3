"""What people look at: theme, charts and tables. Never imports torch."""
