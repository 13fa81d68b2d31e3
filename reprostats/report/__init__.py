"""What people look at: theme, charts and tables. Never imports torch."""

from reprostats.addresses import load_jsonschema

load_jsonschema()  # before Altair does
