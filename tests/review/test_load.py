"""Every mistake in a file of papers is found, at once, at its place, with what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.review.load import load_papers, load_protocol
from reprostats.yaml_files.mistakes import YamlFileError

if TYPE_CHECKING:
    from conftest import Desk

FORM = ("form.yaml", "vocabulary.yaml", "tables.yaml", "audit.yaml", "checklists")

ONE_MISTAKE = [
    # what is replaced, by what, where the mistake is, its record, problem, remedy
    ("year: 2020\n    bib", "yaer: 2020\n    bib", "yaer", "papers[sheep2020].yaer",
     "there is no field 'yaer'", "did you mean 'year'?"),
    ("≤10,", "≤11,", "≤11", "papers[sheep2020].training_data.data_sets[1].size",
     "'≤11' is not a known size", "did you mean '≤10'?"),
    ("80 %", "142 %", "142 %", "papers[sheep2020].training_data.data_sets[1].training_ratio",
     "142 % is more than the whole", "give at most 100 %"),
    ("80 %", "0.8", "0.8", "papers[sheep2020].training_data.data_sets[1].training_ratio",
     "0.8 is not a percentage", "write a percentage with its unit, such as 43 %"),
    ("80 %", "menti0ned", "menti0ned",
     "papers[sheep2020].training_data.data_sets[1].training_ratio",
     "'menti0ned' is not a percentage", "did you mean 'mentioned'?"),
    ("augmentation: patches", "augmentation: pathces", "pathces",
     "papers[sheep2020].training_data.augmentation",
     "'pathces' is not a known augmentation", "did you mean 'patches'?"),
    ("label: Goat (2021)", "label: 5", "5\n    year", "papers[goat2021].label",
     "5 is not a text", "write a text; put quotes around a number that is meant as one"),
    ("[A. Sheep]", "A. Sheep", "A. Sheep", "papers[sheep2020].bibliography.authors",
     "'A. Sheep' is not a list", "write a list"),
    ("year: 2021\n    bib", "year: '2021'\n    bib", "'2021'", "papers[goat2021].year",
     "'2021' is not an integer", "without quotes"),
    ("batch_size: 8", "batch_size: eight", "eight", "papers[goat2021].optimisation.batch_size",
     "'eight' is not an integer", "write an integer"),
    ("batch_size: 8", "batch_size: [8]", "[8]", "papers[goat2021].optimisation.batch_size",
     "a list is not an integer", "write an integer"),
    ("architectures: false", "architectures: no", "no\n",
     "papers[goat2021].optimisation.several_architectures",
     "'no' is not true or false", "write true or false, without quotes"),
    ("learning_rate: 0.1", "learning_rate: -0.1", "-0.1",
     "papers[goat2021].optimisation.learning_rate",
     "-0.1 is not a learning rate", "give a number above 0, or the word range"),
    ("learning_rate: 0.1", "learning_rate: {status: absent, value: 0.1}", "{status",
     "papers[goat2021].optimisation.learning_rate",
     "'absent' stands beside a value", "remove the value, or say reported"),
    ("learning_rate: 0.1", "learning_rate: {status: abesnt}", "abesnt",
     "papers[goat2021].optimisation.learning_rate.status",
     "'abesnt' is not a value that is known here", "did you mean 'absent'?"),
    ("10.1000/sheep", "doi.org/sheep", "doi.org", "papers[sheep2020].bibliography.doi",
     "'doi.org/sheep' is not a DOI", "write it like 10.1000/182"),
    ("key: goat2021", "key: Goat 2021", "Goat 2021", "papers[Goat 2021].key",
     "'Goat 2021' is not a key", "write it like guo2014"),
    ("    label: Goat (2021)\n", "", "key: goat2021", "papers[goat2021]",
     "the field 'label' is missing", "add it"),
    ("format: 1", "format: 7", "7", "format", "7 is not a value that is known here", "one of: 1"),
    ("year: 2020\n    bib", "year: 20200\n    bib", "20200", "papers[sheep2020].year",
     "20200 cannot stand here", "it should be less than or equal to 2100"),
    (("optimisation:\n      learning_rate: 0.1\n      batch_size: 8\n"
      "      several_architectures: false"),
     "optimisation: 55", "55",
     "papers[goat2021].optimisation", "55 is not a mapping", "write fields below it"),
    ("    year: 2021\n    bib", "    year: 2021\n    year: 2022\n    bib", "year: 2022",
     "papers[goat2021].year", "the key 'year' is given twice, first on line 22", "keep one"),
    ("label: Goat (2021)", "label: !!python/object:os.system x", "!!python",
     "papers[goat2021].label", "the tag !!python/object:os.system is not allowed",
     "write the plain value without a tag"),
    ("form: form.yaml", "form: from.yaml", "from.yaml", "form",
     "there is no file from.yaml", "name it by its path"),
    ("key: goat2021", "key: sheep2020", "sheep2020\n    label: Goat", "papers[sheep2020].key",
     "the key 'sheep2020' is that of the paper on line 5", "give each paper its own key"),
    ("Goats on steep roofs", "counting sheeps in clouds, with a very small network", "counting",
     "papers[goat2021].bibliography.title", "the title is nearly that of sheep2020 on line 5",
     "'same_reference_as: sheep2020'"),
    ("authors: [B. Goat, C. Goat]", "authors: [B. Goat]\n      doi: 10.1000/SHEEP", "10.1000/SHEEP",
     "papers[goat2021].bibliography.doi", "the DOI is that of sheep2020 on line 5",
     "remove one of the two"),
    ("    label: Goat (2021)", "    label: Goat (2021)\n    same_reference_as: sheap2020",
     "sheap2020", "papers[goat2021].same_reference_as", "there is no other paper 'sheap2020'",
     "did you mean 'sheep2020'?"),
    ("authors: [A. Sheep]", "authors: [A. Sheep]\n      inferred: {tittle: guessed}", "{tittle",
     "papers[sheep2020].bibliography.inferred", "there is no field 'tittle'", "name a field"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "where", "problem", "remedy"), ONE_MISTAKE)
def test_one_mistake_is_one_message(
    desk: Desk, old: str, new: str, at: str, where: str, problem: str, remedy: str
) -> None:
    change = desk.write(old, new)
    with pytest.raises(YamlFileError) as error:
        load_papers(change.path)
    (mistake,) = error.value.mistakes
    assert (mistake.line, mistake.column) == change.place(at)
    assert mistake.where == where
    assert mistake.problem == problem
    assert remedy in mistake.remedy
    assert str(mistake).startswith(f"{change.path}:{mistake.line}:{mistake.column}: {where}: ")


def test_the_example_itself_is_right(desk: Desk) -> None:
    assert [paper.key for paper in load_papers(desk.write().path)] == ["sheep2020", "goat2021"]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(desk: Desk) -> None:
    """Mistakes of every kind do not hide each other."""
    text = desk.example
    for old, new in [
        ("title: An", "titel: An"),
        ("80 %", "180 %"),
        ("batch_size: 8", "batch_size: 8\n      batch_size: 9"),
        ("label: Goat (2021)", "label: !!python/none x"),
        ("key: goat2021", "key: sheep2020"),
        ("Goats on steep roofs", "Counting sheep in clouds with a very small network"),
        ("0.1\n", "fast\n"),
    ]:
        text = text.replace(old, new)
    path = desk.write().path
    path.write_text(text, encoding="utf-8")
    with pytest.raises(YamlFileError) as error:
        load_papers(path)
    assert [(mistake.line, mistake.problem) for mistake in error.value.mistakes] == [
        (2, "there is no field 'titel'"),
        (15, "180 % is more than the whole"),
        (20, "the key 'sheep2020' is that of the paper on line 5"),
        (21, "the tag !!python/none is not allowed"),
        (24, "the title is nearly that of sheep2020 on line 5"),
        (28, "'fast' is not a learning rate"),
        (30, "the key 'batch_size' is given twice, first on line 29"),
    ]


def test_mistakes_in_the_vocabulary_come_with_those_of_the_papers(desk: Desk) -> None:
    change = desk.write("80 %", "180 %")
    vocabulary = desk.folder / "vocabulary.yaml"
    text = vocabulary.read_text(encoding="utf-8").replace("\naccess:", "\nacess:")
    vocabulary.write_text(text, encoding="utf-8")
    with pytest.raises(YamlFileError) as error:
        load_papers(change.path)
    found = [(mistake.path.name, mistake.problem) for mistake in error.value.mistakes]
    assert found == [
        ("papers.yaml", "180 % is more than the whole"),
        ("vocabulary.yaml", "there is no field 'acess'"),
    ]


@pytest.mark.parametrize("synonym", ["≤50", "mentioned"])
def test_a_spelling_stands_for_one_word(desk: Desk, synonym: str) -> None:
    vocabulary = desk.folder / "vocabulary.yaml"
    text = vocabulary.read_text(encoding="utf-8").replace("[<=10]", f"[{synonym}]")
    vocabulary.write_text(text, encoding="utf-8")
    with pytest.raises(YamlFileError, match=f"the size '{synonym}' stands for"):
        load_protocol(desk.folder / "form.yaml")


def test_two_records_may_share_a_publication_on_purpose(desk: Desk) -> None:
    change = desk.write(
        "    year: 2021\n    bibliography:\n      title: Goats on steep roofs",
        "    year: 2021\n    same_reference_as: sheep2020\n"
        "    bibliography:\n      doi: 10.1000/sheep\n"
        "      title: Counting sheep in clouds with a very small network",
    )
    assert len(load_papers(change.path)) == 2


def test_titles_of_different_papers_on_one_subject_pass(desk: Desk) -> None:
    change = desk.write("Goats on steep roofs", "Counting goats in clouds with a large network")
    assert len(load_papers(change.path)) == 2


def test_a_copy_among_many_papers_is_found(desk: Desk) -> None:
    head, first = (
        desk.example.split("papers:\n")[0],
        desk.example.split("papers:\n")[1].split("  - key: goat")[0],
    )
    names = [
        "apple",
        "stone",
        "river",
        "cloud",
        "horse",
        "glass",
        "paper",
        "tower",
        "bread",
        "night",
    ]
    records = [
        first.replace("sheep2020", f"p{i}")
        .replace("10.1000/sheep", f"10.1000/{i}")
        .replace(
            "Counting sheep in clouds with a very small network",
            f"The {names[i % 10]} and the {names[i // 10 % 10]} on {names[i // 100]} {i}",
        )
        for i in range(300)
    ]
    records[40] = records[40].replace("The apple", "Teh apple")
    copy = records[40].replace("key: p40", "key: copy").replace("Teh apple", "The apple")
    path = desk.write().path
    path.write_text(
        head + "papers:\n" + "".join([*records, copy.replace("10.1000/40", "10.1000/x")]),
        encoding="utf-8",
    )
    with pytest.raises(YamlFileError, match=r"papers\[copy\].*the title is nearly that of p40"):
        load_papers(path)


@pytest.mark.parametrize("content", ["[]\n", "just text\n", "5\n", "papers: {}\n", "papers: []\n"])
def test_a_file_of_another_shape(desk: Desk, content: str) -> None:
    path = desk.write().path
    path.write_text(content, encoding="utf-8")
    with pytest.raises(YamlFileError):
        load_papers(path)


def test_an_error_of_the_review_is_an_input_error_and_loses_nothing(desk: Desk) -> None:
    change = desk.write("80 %", "180 %")
    with pytest.raises(InputError):
        load_papers(change.path)
    assert change.path.read_text(encoding="utf-8") == change.text
    assert sorted(file.name for file in desk.folder.iterdir()) == sorted(["papers.yaml", *FORM])


def test_a_path_may_be_text(desk: Desk) -> None:
    assert len(load_papers(str(desk.write().path))) == 2


def test_an_unknown_paper_is_named_with_its_neighbour(desk: Desk) -> None:
    with pytest.raises(InputError, match="did you mean 'goat2021'"):
        load_papers(desk.write().path).paper("goat2012")


def test_synonyms_and_long_forms_say_the_same(desk: Desk) -> None:
    short = load_papers(desk.write().path)
    changed = desk.write("≤10,", "'<=10',").text.replace(
        "validation_set: absent", "validation_set: {status: absent, read_in: section 2}"
    )
    (desk.folder / "papers.yaml").write_text(changed, encoding="utf-8")
    long = load_papers(desk.folder / "papers.yaml")
    data = [review.paper("sheep2020").training_data for review in (short, long)]
    assert [part.validation_set.status for part in data] == ["absent", "absent"]
    assert long.vocabulary.word("size", data[1].data_sets[0].size.value) == "≤10"


def test_records_cannot_be_changed(desk: Desk) -> None:
    paper = load_papers(desk.write().path).paper("sheep2020")
    with pytest.raises(ValueError, match="frozen"):
        paper.year = 1999


NASTY = [
    "",
    "5",
    "[]",
    "{}",
    "null",
    "true",
    "[[1]]",
    "{a: {b: c}}",
    "'",
    "\t",
    "*x",
    "!x y",
    "≤10",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_slip_of_the_pen_escapes_as_another_error(desk: Desk, data: st.DataObject) -> None:
    """Values are replaced, lines are lost, repeated and indented anew: mistakes, never a crash."""
    lines = desk.example.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[at].partition(":")
        nasty = data.draw(st.sampled_from(NASTY))
        lines[at : at + 1] = data.draw(
            st.sampled_from([[], [lines[at]] * 2, [f"  {lines[at]}"], [f"{key}{colon} {nasty}"]])
        )
    path = desk.folder / "papers.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        load_papers(path)
    except YamlFileError as error:
        found = error.mistakes
        assert found
        assert all(1 <= mistake.line <= len(lines) + 1 for mistake in found)
        assert all(mistake.problem and mistake.remedy for mistake in found)
