"""The methods section says what was done and only that, and its references are right."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

from reprostats.errors import InputError
from reprostats.review.references import from_bibtex
from reprostats.verdicts.methods import COMPARISONS, Analysis, Methods, methods_paragraph
from reprostats.verdicts.references import REFERENCES
from reprostats.verdicts.run_facts import RunFacts
from tests.verdicts.hand_made import CONFIG, facts, five_trials, record

PLAIN = Analysis("dice")
EVERYTHING = Analysis(
    "dice",
    n_conditions=3,
    comparisons=COMPARISONS,
    equivalence_margin=0.02,
    adjustment="holm",
    variance_components=True,
    median_interval=True,
)


def keys(methods: Methods) -> list[str]:
    return [reference.key for reference in methods.references]


CITED = {
    "sequence": {"lai1976", "wang2025"},
    "welch": {"welch1947"},
    "paired_runs": {"student1908"},
    "cases": {"student1908"},
    "runs_and_cases": {"hillis2007", "hillis2014"},
}


class TestWhatWasDone:
    def test_training(self):
        text = methods_paragraph(facts(), PLAIN).text
        assert "Each trial called the function study.train." in text
        assert "The data set was cells (80 samples for training, 10 for validation, 10 for" in text
        assert (
            "The loss was cross-entropy, minimised with Adam (learning rate 0.01, batch size 8, "
            "epochs 3)." in text
        )
        assert "The training data were not augmented." in text

    def test_trials(self):
        text = methods_paragraph(facts(), PLAIN).text
        assert "5 trials were run, and all completed." in text
        assert "varied: init and batch_order together (5 levels)." in text
        assert "Seeds: init, batch_order: 1, 2, 3, 4, 5." in text
        failed = record(9, status="diverged", reason="loss is nan", metrics=[])
        text = methods_paragraph(facts([*five_trials(), failed]), PLAIN).text
        assert "6 trials were run, of which 5 completed (1 diverged: loss is nan)" in text

    def test_values_that_were_compared(self):
        rates = facts([record(config=CONFIG | {"learning_rate": rate}) for rate in (0.1, 0.01)])
        text = methods_paragraph(rates, PLAIN).text
        assert "differed between trials: learning_rate (0.1, 0.01)." in text

    def test_environment(self):
        text = methods_paragraph(facts(), PLAIN).text
        assert "Software: Python 3.11.9, torch 2.7.1, numpy 2.2.0, reprostats 0.1.0." in text
        assert (
            "Hardware: Intel Xeon, 2 cores, 8 GB of memory; no GPU; PyTorch's tensors lay on cpu."
            in text
        )
        assert "PyTorch's deterministic algorithms were off." in text
        assert "Package versions are pinned in constraints.txt." in text

    def test_nothing_is_said_that_is_not_known(self):
        text = methods_paragraph(RunFacts(), PLAIN).text
        assert re.fullmatch(
            r"The unit of analysis was the training, by its dice\. "
            r"Results were analysed with reprostats \(version [^)]+\)\.",
            text,
        )
        assert "None" not in methods_paragraph(facts(), EVERYTHING).text


class TestAnalysis:
    @pytest.mark.parametrize("number", range(len(COMPARISONS) + 1))
    def test_each_comparison_brings_its_references_and_no_other(self, number: int):
        for chosen in combinations(COMPARISONS, number):
            found = methods_paragraph(RunFacts(), Analysis("dice", "training", 2, chosen))
            wanted = set().union(*(CITED[name] for name in chosen))
            assert {*keys(found)} == wanted | {"reprostats"}

    @pytest.mark.parametrize(
        ("analysis", "added"),
        [
            (Analysis("dice", "training", 2, ("welch",), 0.1), {"schuirmann1987"}),
            (Analysis("dice", "training", 3, ("welch",), None, "holm"), {"holm1979"}),
            # One comparison has nothing to adjust for; without one there is nothing to test.
            (Analysis("dice", "training", 2, ("welch",), None, "holm"), set()),
            (Analysis("dice", "training", 3, (), 0.1, "holm"), {None}),
            (
                Analysis("dice", variance_components=True),
                {"patterson1971", "weerahandi1993", None},
            ),
            (Analysis("dice", median_interval=True), {"david2003", None}),
        ],
    )
    def test_each_method_brings_its_own(self, analysis: Analysis, added: set[str | None]):
        found = {*keys(methods_paragraph(RunFacts(), analysis))}
        without_comparison = None in added
        base = {"reprostats"} | (set() if without_comparison else {"welch1947"})
        assert found == base | (added - {None})

    def test_weighted_quantiles_are_named_where_they_are_used(self):
        two = Analysis("dice", "training", 2, ("runs_and_cases",))
        three = Analysis("dice", "training", 3, ("runs_and_cases",))
        assert "cochran1957" not in keys(methods_paragraph(RunFacts(), two))
        assert "cochran1957" in keys(methods_paragraph(RunFacts(), three))

    def test_margin_and_level_are_said(self):
        analysis = Analysis("dice", "training", 2, ("welch",), 0.02, None, 0.9)
        text = methods_paragraph(facts(), analysis).text
        assert "within a margin of 0.02 in dice" in text
        assert "a confidence level of 90 %" in text

    def test_unknown_words(self):
        with pytest.raises(InputError, match="did you mean 'welch'"):
            methods_paragraph(RunFacts(), Analysis("dice", comparisons=("welhc",)))
        with pytest.raises(InputError, match="unknown adjustment 'bonferroni'"):
            methods_paragraph(RunFacts(), Analysis("dice", adjustment="bonferroni"))


class TestReferences:
    def test_text_and_latex_cite_the_same(self):
        methods = methods_paragraph(facts(), EVERYTHING)
        cited = [
            k
            for group in re.findall(r"\\citep\{([^}]*)\}", methods.latex)
            for k in group.split(",")
        ]
        assert list(dict.fromkeys(cited)) == keys(methods)
        for reference in methods.references:
            assert reference.cited_as in methods.text
        assert "[@" not in methods.text + methods.latex

    def test_latex_is_escaped(self):
        odd = RunFacts(functions=("my_study.train",), trials_recorded=1, trials_completed=1)
        latex = methods_paragraph(odd, Analysis("50 % & more")).latex
        assert r"my\_study.train" in latex
        assert r"50 \% \& more" in latex

    @pytest.mark.parametrize("key", REFERENCES)
    def test_every_entry_is_read_back(self, key: str):
        reference = REFERENCES[key]
        read = from_bibtex(reference.bibtex())
        assert read["title"] == reference.fields["title"].replace("{", "").replace("}", "")
        assert str(read.get("year", "")) == reference.fields.get("year", "")
        assert read.get("doi") == reference.fields.get("doi")
        assert reference.bibtex().count("{") == reference.bibtex().count("}")
        assert reference.bibtex().isascii()

    def test_articles_are_complete(self):
        needed = {"author", "title", "journal", "volume", "number", "pages", "year"}
        for reference in REFERENCES.values():
            if reference.kind == "article":
                assert needed <= reference.fields.keys()
                assert reference.fields["year"] in reference.key
                assert reference.fields["year"] in reference.cited_as

    @pytest.mark.skipif(shutil.which("bibtex") is None, reason="there is no bibtex here")
    def test_bibtex_reads_them(self, tmp_path: Path):
        methods = methods_paragraph(facts(), EVERYTHING)
        (tmp_path / "methods.bib").write_text(methods.bibtex(), encoding="utf-8")
        cited = "".join(f"\\citation{{{key}}}\n" for key in keys(methods))
        auxiliary = f"{cited}\\bibstyle{{plain}}\n\\bibdata{{methods}}\n"
        (tmp_path / "methods.aux").write_text(auxiliary, encoding="utf-8")
        done = subprocess.run(
            ["bibtex", "methods"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        assert "warning" not in done.stdout.casefold()
