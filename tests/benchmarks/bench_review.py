"""Time and memory of building a review of many papers.

    python tests/benchmarks/bench_review.py [NUMBER]

Records are those of papers.yaml, repeated with keys, titles and years of their own.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from reprostats import paths
from reprostats.review.build import Parameters, build
from reprostats.review.load import load_papers

WORDS = ["apple", "stone", "river", "cloud", "horse", "glass", "paper", "tower", "bread", "night"]


def many(number: int, folder: Path) -> Path:
    """Write a review of so many papers into a folder."""
    text = paths.checkout("papers.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("papers:\n")
    records = ["  - key: " + record for record in body.split("  - key: ")[1:]]
    path = folder / "papers.yaml"
    form = paths.checkout("review", "form.yaml")
    made = [_renamed(records[n % len(records)], n) for n in range(number)]
    path.write_text(
        head.replace("review/form.yaml", str(form)) + "papers:\n" + "".join(made), encoding="utf-8"
    )
    return path


def _renamed(record: str, number: int) -> str:
    digits = [int(digit) for digit in f"{number:06d}"]
    title = " ".join(WORDS[digit] for digit in digits) + f" {number * 7919 % 1_000_003}"
    lines = []
    for line in record.splitlines(keepends=True):
        name = line.strip().partition(":")[0]
        if name in {"doi", "arxiv", "url", "same_reference_as"}:
            continue
        if name == "- key":
            lines.append(f"  - key: p{number}\n")
        elif name == "title" and line.startswith("      title"):
            lines.append(f"      title: {title}\n")
        elif line.startswith("        ") and lines[-1].startswith("      title"):
            continue
        else:
            lines.append(line)
    return "".join(lines)


def main() -> None:
    """Print how long each step takes."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        path = many(number, Path(folder))
        print(f"{number} records, {path.stat().st_size / 1e6:.1f} MB")
        start = time.perf_counter()
        load_papers(path)
        print(f"read and checked: {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        written = build(Parameters(papers=str(path))).write(Path(folder) / "tables")
        print(f"built, reading included: {time.perf_counter() - start:.1f} s, {len(written)} files")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory: {peak:.0f} MB")


if __name__ == "__main__":
    main()
