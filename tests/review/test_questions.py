"""Questions select what they say, name their mistakes, and execute nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.review.load import Review, load_papers
from reprostats.review.questions import Questions


@pytest.fixture(scope="module")
def review() -> Review:
    return load_papers()


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("", 23),
        ("year >= 2016 and network == 'CNN'", 17),
        ("network == 'RNN' or network == 'SAE'", 4),
        ("network in ['RNN', 'SAE']", 4),
        ("network not in ['RNN', 'SAE']", 19),
        ("not network == 'CNN'", 4),
        ("2014 <= year < 2016", 4),
        ("learning_rate is reported", 11),
        ("learning_rate is not reported", 12),
        ("learning_rate is not_applicable", 3),
        ("learning_rate == 'range'", 2),
        ("learning_rate > 0.004", 4),
        ("dropout is present", 14),
        ("dropout is unread", 0),
        ("doi is reported", 5),
        ("every_subject", 2),
        ("'recall' in metrics", 7),
        ("'TPR' in metrics", 7),
        ("len(metrics) < 3", 10),
        ("len(data_sets) > 1", 12),
        ("sum(memory_gb) >= 12", 5),
        ("any(size == '≥100')", 8),
        ("all(access == 'private')", 7),
        ("count(training_ratio >= 50) == 2", 6),
        ("any(maker == 'NVIDIA' and memory_gb > 4)", 5),
        ("read_in(devices) == 'github'", 1),
        ("key == 'guo2014'", 1),
        ("network == 'SAE' and key != 'guo2014'", 1),
        ("True", 23),
    ],
)
def test_a_question_selects(review: Review, question: str, count: int) -> None:
    assert len(review.where(question)) == count


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("netwrok == 'CNN'", "column 1: there is no field 'netwrok'; did you mean 'network'?"),
        ("network == 'CNNN'", "column 12: 'CNNN' is not a known network; did you mean 'CNN'?"),
        ("'dise' in metrics", "column 1: 'dise' is not a known metric; did you mean 'dice'?"),
        ("network in ['CNN', 3]", "column 20: 3 is not a known network; one of"),
        ("size == '≤10'", "one answer for each of 'data_sets'; say any"),
        ("any(network == 'CNN')", "column 1: any(...) is asked of something given once"),
        ("learning_rate is mentionde", "mentionde is not known after 'is'; did you mean 'mention"),
        ("learning_rate > 'fast'", "column 17: learning_rate is a number; compare it with a num"),
        ("year", "it is not answered by yes or no; compare it"),
        ("year and network == 'CNN'", "column 1: this is not answered by yes or no"),
        ("year >=", "this is not a question"),
        ("year >= 2016; import os", "this is not a question"),
        ("__import__('os').system('x')", "is not known"),
        ("year.__class__ == 3", "column 1: this cannot stand in a question"),
        ("[y for y in 'ab'] == 3", "this cannot stand in a question"),
        ("(lambda: True)()", "is not known"),
        ("2 ** 9 ** 9 > year", "this cannot stand in a question"),
        ("any(size == '≤10' and maker == 'x')", "are different lists"),
        ("len(year) > 3", "this is not a list"),
        ("given(yaer) == 3", "did you mean 'year'?"),
        ("read_in(size) == 'x'", "size has no place of its own"),
        ("year in [[1]]", "a number or a text has to stand here"),
        ("key == None", "a number or a text has to stand here"),
        ("any(size == '≤10', 3)", "any(...) is not known"),
        ("~year == 3", "this sign cannot stand here"),
        ("(" * 300 + "True" + ")" * 300, "this is not a question"),
        ("year == 1" + " or year == 1" * 1000, "longer than"),
        ("\0", "this is not a question"),
    ],
)
def test_a_mistake_is_named(review: Review, question: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        review.where(question)
    assert message in str(error.value)
    assert "; " in str(error.value)


PIECES = ["year", "size", "network", "and", "or", "not", "in", "is", "reported", "==", "<", "(",
          ")", "[", "]", ",", "'CNN'", "3", "any", "len", "given", "-", ".", "metrics", "devices",
          "maker", "sum", "other_hyperparameters", "every_subject", "title"]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9))
def test_no_question_escapes_as_another_error(pieces: list[str]) -> None:
    review = load_once()
    try:
        chosen = review.where(" ".join(pieces))
    except InputError:
        return
    assert len(chosen) <= len(review)


_LOADED: list[Review] = []


def load_once() -> Review:
    if not _LOADED:
        _LOADED.append(load_papers())
    return _LOADED[0]


def test_what_is_unread_is_known(review: Review) -> None:
    questions = Questions(review.protocol.form, review.vocabulary)
    paper = review.paper("guo2014")
    bare = paper.model_copy(update={"evaluation": None})
    question = questions.ask("len(metrics) >= 3 and year > 2000")
    assert (question.unread(paper), question.unread(bare)) == (False, True)
