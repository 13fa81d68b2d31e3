"""What a study found and how it was done, in words and records. Never imports torch."""
