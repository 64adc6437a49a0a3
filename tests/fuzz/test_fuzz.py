"""A few hundred damaged data sets in every run of the tests; `make fuzz` tries many more."""

from fuzz.run import fuzz, fuzz_command_line
from fuzz.sets import SETS


def test_damaged_data_sets_are_refused_in_words_or_read_right():
    tally = fuzz(600, seed=11)
    assert tally.faults == []
    assert tally.inputs == 600 == tally.read + tally.refused
    assert tally.read > 100
    assert tally.refused > 100
    assert tally.boxes > 300  # kept, and found again by a second reading
    assert set(tally.forms) == set(SETS)


def test_an_input_is_always_the_same():
    one, two = (fuzz(40, seed=12) for _ in range(2))
    assert (one.read, one.refused, one.boxes, one.forms) == (
        two.read, two.refused, two.boxes, two.forms,
    )  # fmt: skip


def test_the_command_line_says_one_line():
    assert fuzz_command_line(25, seed=13) == []
