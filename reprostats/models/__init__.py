"""Networks and their initialisers. No training here."""
