"""The literature review as data: read, check and tabulate ``papers.yaml``. Never imports torch."""
