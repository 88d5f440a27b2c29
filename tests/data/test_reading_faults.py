"""Tables that were read wrongly: cells, columns and targets, each with its whole kind."""

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import Column, infer_columns, read_target
from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.inference import decimal_sign
from jaxmlp.data.tables.pitfalls import sentinels
from jaxmlp.data.tables.values import to_numbers

RNG = np.random.default_rng(2)
N = 200
FLAGS = RNG.integers(0, 2, N)


@pytest.mark.parametrize(
    "spell",
    [
        lambda flag: f"{flag}",
        lambda flag: f"{flag}.0",
        lambda flag: f"{flag},00",
        lambda flag: str(bool(flag)),
        bool,
        np.float64,
        lambda flag: "yes" if flag else "NO",
        lambda flag: "t" if flag else "f",
    ],
)
def test_a_truth_is_found_however_it_is_spelled(spell):
    for words in (("0", "1"), ("no", "yes"), ("False", "True"), (False, True), (0, 1)):
        fitted = TablePreprocessor.fit({"flag": [words[flag] for flag in FLAGS]})
        new = {"flag": [spell(flag) for flag in FLAGS]}
        np.testing.assert_array_equal(fitted.transform(new)[:, 0], 2 * FLAGS - 1)
        assert fitted.remarks(new) == ()


@pytest.mark.parametrize("trained", [str, float, lambda k: f"{k}.0", lambda k: f"0{k}"])
@pytest.mark.parametrize("asked", [int, float, str, lambda k: f"{k}.0", lambda k: f"{k},0"])
def test_a_level_is_found_as_a_number(trained, asked):
    codes = RNG.integers(1, 4, N)
    kinds = {"grade": "category"}
    fitted = TablePreprocessor.fit({"grade": [trained(k) for k in codes]}, columns=kinds)
    new = {"grade": [asked(k) for k in codes]}
    np.testing.assert_array_equal(fitted.transform(new).argmax(axis=1), codes - 1)
    assert fitted.remarks(new) == ()


@pytest.mark.parametrize("trained", [("no", "yes"), ("False", "True"), ("0", "1"), ("0.0", "1.0")])
@pytest.mark.parametrize("asked", [("No", "YES"), (False, True), (0, 1), (0.0, 1.0), ("0,0", "1")])
def test_among_other_levels_a_truth_is_found_as_well(trained, asked):
    cells = [(*trained, "~")[k] for k in RNG.integers(0, 3, N)]
    fitted = TablePreprocessor.fit({"c": cells}, columns={"c": "category"})
    new = {"c": [*asked, "~"]}
    np.testing.assert_array_equal(fitted.transform(new), np.eye(3))
    assert fitted.remarks(new) == ()


def test_letters_are_codes_rather_than_truths():
    fitted = TablePreprocessor.fit({"c": ["T", "F", "N", "1"] * 9}, columns={"c": "category"})
    assert not fitted.transform({"c": ["yes", "Y", True, "t", "on"]})[:2].any()


@pytest.mark.parametrize("pair", [("1", "2"), ("-1", "1"), ("0", "5"), ("A", "B")])
def test_a_boolean_may_be_any_pair(pair):
    fitted = TablePreprocessor.fit({"c": [*pair] * 9}, columns={"c": "boolean"})
    for asked in (pair, [f"{word}.0" if word[-1].isdigit() else word.lower() for word in pair]):
        assert fitted.transform({"c": asked})[:, 0].tolist() == [-1, 1]
        assert fitted.remarks({"c": asked}) == ()
    with pytest.raises(ValueError, match="has 3 different values; make it a category"):
        TablePreprocessor.fit({"c": ["1", "2", "3"] * 9}, columns={"c": "boolean"})


def test_levels_are_first_what_they_are_spelled():
    fitted = TablePreprocessor.fit({"code": ["007", "7", "8"] * 9}, columns={"code": "category"})
    assert fitted.feature_names == ("code=007", "code=7", "code=8")
    assert fitted.transform({"code": ["7", "007", "8.0", "7.00"]}).tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 0],  # which of the two is not known
    ]


def test_a_level_spelled_in_two_ways_is_one():
    mixed = ["1", "1.0", "2", "2.0", "3"] * 20
    fitted = TablePreprocessor.fit({"grade": mixed}, columns={"grade": "category"})
    assert fitted.feature_names == ("grade=1", "grade=2", "grade=3")
    assert read_target(pd.Series(mixed, name="y")).class_names == ("1", "2", "3")
    decimals = ["1.0", "1.1", "1.10"] * 20
    assert read_target(pd.Series(decimals, name="y"), "classification").class_names == (
        "1.0", "1.1", "1.10",
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [("0", "1", "unknown"), ("0", "1", "1.0"), ("0", "1", "0.0", "many"), ("no", "Yes", "1")],
)
@pytest.mark.parametrize("start", range(3))
def test_whatever_words_the_training_rows_have(words, start):
    """The words of few rows may be in the training part, or not."""
    cells = pd.Series([words[k % 2 if k % 25 > 1 else -1 - k % 25] for k in range(N)])
    columns = infer_columns(pd.DataFrame({"flag": cells}))
    assert columns["flag"].kind == "boolean"
    part = cells[: 5 * start + 2]
    fitted = TablePreprocessor.fit({"flag": part}, columns=columns)
    values = fitted.transform({"flag": list(words[:2])})[:, 0].tolist()
    assert values == [-1, 1]


@pytest.mark.parametrize(
    ("cells", "names", "left_out"),
    [
        (["None", "Insomnia", "Apnea"], ("Apnea", "Insomnia", "None"), 0),
        (["+", "-"], ("+", "-"), 0),
        (["NA", "EU", "N/A", ""], ("EU", "N/A", "NA"), 1),
        (["yes", "no", None, float("nan")], ("no", "yes"), 2),
        (["0", "1", "2", "NA", "?"], ("0", "1", "2"), 2),
        (["1", "-"], ("-", "1"), 0),
    ],
)
def test_among_classes_only_an_empty_cell_is_missing(cells, names, left_out):
    target = read_target(pd.Series(cells * 20, name="y"))
    assert set(target.class_names) == set(names)
    assert len(target.rows) == 20 * (len(cells) - left_out)
    for word in {"None", "-", "NA", "N/A"} & set(names):
        assert f"{word!r} is a class: if it means nothing, add --missing {word}" in target.reason


def test_what_means_missing_can_be_said():
    table = pd.DataFrame({"x": [-200, 3, 4, 5], "f": [-200.0, 1.5, 2.5, 3.5], "w": [*"aX?b"]})
    fitted = TablePreprocessor.fit(table, missing=("-200", "x"))
    assert fitted == TablePreprocessor.from_dict(fitted.to_dict())
    marks = [fitted.feature_names.index(f"{name} missing") for name in "xf"]
    for asked in (table, table.astype(str), table[["w", "f", "x"]].astype(object)):
        assert fitted.transform(asked)[:, marks].tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    assert "w=X" not in fitted.feature_names


def us_stamps(minutes, n=21_000):
    stamps = pd.Timestamp("2024-02-01") + pd.to_timedelta(np.arange(n) * minutes, unit="min")
    return stamps, stamps.strftime("%m/%d/%Y %H:%M")


@pytest.mark.parametrize("minutes", [1, 3, 10, 15])
def test_sorted_stamps_are_judged_by_all_of_them(minutes):
    """The first thousand may all be of days that could be months."""
    stamps, cells = us_stamps(minutes)
    for chosen in ({}, {"when": Column("when", "date")}):
        column = infer_columns(pd.DataFrame({"when": cells}), chosen)["when"]
        assert (column.kind, column.style) == ("date", "mdy")
        assert "read as m/d/y" in column.reason
    days = to_days(pd.Series(cells), "mdy")
    np.testing.assert_allclose(days, (stamps - pd.Timestamp(0)) / pd.Timedelta(days=1), rtol=1e-12)


def test_a_reading_that_loses_values_says_so():
    cells = [f"{k % 28 + 1}/{k % 12 + 1}/2020" for k in range(N)]
    cells[7] = "tomorrow"
    frame = pd.DataFrame({"when": cells})
    for chosen in ({}, {"when": Column("when", "date")}):
        assert "1 cell is no date" in infer_columns(frame, chosen)["when"].reason
    half = ["04/05/2020", "13/05/2020", "05/14/2020", "no"] * 10
    said = infer_columns(pd.DataFrame({"when": half}), {"when": Column("when", "date")})["when"]
    assert "20 cells are no dates" in said.reason
    numbers = pd.DataFrame({"n": ["1", "many", "3"] * 10})
    assert (
        "10 cells are no numbers"
        in infer_columns(numbers, {"n": Column("n", "number")})["n"].reason
    )


@pytest.mark.parametrize(
    ("cells", "style", "value"),
    [
        (["1.500", "900", "750"], ",", 1500.0),
        (["1.500", "9.5", "750"], ".", 1.5),
        (["0.500", "1.500", "2.250"], ".", 0.5),
        (["1.234.500", "900", "1.500"], ",", 1234500.0),
        (["900", "750", "1"], ",", 900.0),
    ],
)
def test_one_decimal_sign_for_a_table(cells, style, value):
    """1.500 beside 900 may be 1500 where other columns have decimal commas."""
    frame = pd.DataFrame({"price": ["1,5", "22,75", "3,125"] * 30, "n": cells * 30})
    columns = infer_columns(frame)
    assert columns["price"].style == ","
    column = infer_columns(frame, {"n": Column("n", "number")})["n"]
    assert (column.style, columns["n"].style) == (style, style)
    assert to_numbers(frame["n"], style)[0] == value
    target = read_target(frame["n"], "regression", decimal=decimal_sign(frame))
    assert target.y[0] == value
    assert infer_columns(frame[["n"]])["n"].style == ("," if cells[0].count(".") > 1 else ".")


def test_a_target_may_tell_the_decimal_sign():
    frame = pd.DataFrame({"n": ["1.500", "900"] * 60, "y": ["1,5", "2,25", "3,75"] * 40})
    decimal = decimal_sign(frame)
    assert infer_columns(frame[["n"]], decimal=decimal)["n"].style == ","


def test_a_few_decimal_commas_are_no_words():
    column = infer_columns(pd.DataFrame({"p": ["4"] * 99 + ["3,5"]}))["p"]
    assert (column.style, column.reason) == (",", "3.5 to 4")
    assert infer_columns(pd.DataFrame({"p": ["4"] * 99 + ["3,500"]}))["p"].reason[:8] == "4 to 3,5"


def test_a_group_of_thousands_does_not_begin_with_0():
    column = infer_columns(pd.DataFrame({"x": ["0,500", "1,250", "0,750"] * 9}))["x"]
    assert (column.style, column.reason.partition(",")[0]) == (",", "0.5 to 1.25")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("-$5", -5), ("$-5.5", -5.5), ("- $5", np.nan), ("(5)", -5), ("($1,234.50)", -1234.5),
        ("5k", 5000), ("1.5K", 1500), ("2M", 2e6), ("1 234.5", 1234.5),
        ("1\u202f234\u202f567", 1234567),
        ("1'234.5", 1234.5), ("\u22125", -5), ("€5", 5), ("5 €", 5), ("5 %", 5), ("k", np.nan),
        ("(a)", np.nan), ("12 34", np.nan), ("1 2345", np.nan), ("5kg", np.nan),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(cell, value):
    np.testing.assert_equal(to_numbers(pd.Series([cell]))[0], value)
    if "." in cell and "," not in cell:
        np.testing.assert_equal(to_numbers(pd.Series([cell.replace(".", ",")]), ",")[0], value)


@pytest.mark.parametrize(
    "form",
    ["%b %d, %Y", "%B %d %Y", "%d-%b-%y", "%d %B %Y", "%A, %d %b %Y", "%Y%m%d", "%d%b/%Y"],
)
def test_dates_as_people_write_them(form):
    days = pd.date_range("2019-11-25", periods=90)
    cells = days.strftime(form)
    column = infer_columns(pd.DataFrame({"day": cells}))["day"]
    assert (column.kind, column.style) == ("date", "ymd")
    expected = (days - pd.Timestamp(0)) / pd.Timedelta(days=1)
    np.testing.assert_array_equal(to_days(pd.Series(cells)), expected)


@pytest.mark.parametrize("form", ["%m/%d/%y", "%d/%m/%y", "%m/%d/%y %H:%M", "%d/%m/%y %I:%M %p"])
def test_years_of_two_digits_behind_a_slash(form):
    stamps = pd.date_range("1968-11-25 07:30", periods=200, freq="73h")
    cells = pd.Series(stamps.strftime(form))
    column = infer_columns(pd.DataFrame({"day": cells}))["day"]
    assert (column.kind, column.style) == ("date", "mdy" if form[1] == "m" else "dmy")
    stamps = stamps if "M" in form else stamps.floor("D")
    years = stamps.year + 100 * (stamps.year == 1968)
    expected = pd.to_datetime(
        {"year": years, "month": stamps.month, "day": stamps.day, "hour": stamps.hour,
         "minute": stamps.minute}
    ) - pd.Timestamp(0)  # fmt: skip
    np.testing.assert_allclose(to_days(cells, column.style), expected / pd.Timedelta(days=1))


@pytest.mark.parametrize("cells", [["20-01-05", "20-01-06"], ["1.2.13", "1.2.14"], ["1/2", "3/4"]])
def test_what_may_be_no_year_stays_text(cells):
    assert infer_columns(pd.DataFrame({"c": cells * 9}))["c"].kind == "category"


@pytest.mark.parametrize(
    ("form", "freq", "origin"),
    [
        ("%m/%d/%Y %I:%M %p", "37min", 0), ("%d.%m.%Y, %H:%M", "11h", 0), ("%Y-%m", "MS", 0),
        ("%b %Y", "MS", 0), ("%I:%M %p", "17min", 1), ("%H:%M:%S", "1234s", 1),
    ],
)  # fmt: skip
def test_times_as_people_write_them(form, freq, origin):
    stamps = pd.date_range("2019-11-25" if freq != "MS" else "2019-11-01", periods=60, freq=freq)
    cells = stamps.strftime(form)
    column = infer_columns(pd.DataFrame({"when": cells}))["when"]
    assert column.kind == "date"
    expected = (stamps - pd.Timestamp(0)) / pd.Timedelta(days=1)
    read = to_days(pd.Series(cells), column.style)
    np.testing.assert_allclose(read, expected % 1 if origin else expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([20200101 + k for k in range(25)], "date"),
        ([str(20200101 + k) for k in range(25)], "date"),
        ([20200101 + 7 * k for k in range(25)], "number"),  # days to 169
        ([f"{k}-{k + 1}" for k in range(2000, 2020)], "category"),
        (["25:10", "30:99", "77:12"] * 9, "category"),
        (["May", "June", "July"] * 9, "category"),
        (["1.5 m", "2 m", "3 m"] * 9, "number"),  # metres
    ],
)
def test_what_is_a_date_and_what_is_not(cells, kind):
    assert infer_columns(pd.DataFrame({"c": cells}))["c"].kind == kind


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        (RNG.integers(0, 21, 400), "amounts", "21 whole numbers: if they are classes"),
        (RNG.integers(1, 12, 400), "amounts", "11 whole numbers: if they are classes, add --task"),
        ([*RNG.integers(3, 9, 400), 1, 2, 9], "amounts", "9 whole numbers"),
        (RNG.integers(1, 6, 400), "classes", "if they are a scale, add --task regression"),
        ([*RNG.integers(0, 2, 400), 5], "classes", "class 5 left out"),
        (["Yes", "yes", "NO", "No"] * 50, "classes", "'NO' and 'No' differ in case only"),
        (["<1.0", "2.5", "3.5", "4.5"] * 50, "classes", "'<1.0' is a bound"),
        (["<1.0", *(f"{k / 7:.2f}" for k in range(60))], "amounts", "'<1.0' is no number"),
        (["1e400", "-1e400", "1e401", "0"] * 50, "classes", "4 classes"),
        (["09:45", "10:15", "11:30"] * 50, "classes", "'09:45' is a time of day"),
        (["9:45 AM", "1:15 pm"] * 50, "classes", "'1:15 pm' is a time of day"),
        (["1/31/2020", "2/1/2020"] * 50, "classes", "'1/31/2020' is a date: to predict amounts"),
    ],
)
def test_what_a_target_may_be_is_said(cells, kind, said):
    target = read_target(pd.Series(cells, name="y"))
    assert target.kind == kind
    assert said in target.reason


def test_a_target_of_times_says_so():
    times = [f"{k // 60:02}:{k % 60:02}" for k in range(300)]
    with pytest.raises(ValueError, match="'00:00' is a time of day: to predict amounts, write"):
        read_target(pd.Series(times, name="y"))


@pytest.mark.parametrize(
    ("value", "others", "doubted"),
    [
        (-200, RNG.gamma(2, 2, 400), True),
        (-200, RNG.normal(1000, 150, 400), True),
        (999, RNG.integers(20, 70, 400), True),
        (-1, RNG.integers(0, 70, 400), False),
        (99, RNG.integers(20, 90, 400), False),
        (-99, RNG.normal(0, 1, 400), True),
        (30, np.tile([0, 1, 2, 3], 100), False),
    ],
)
def test_a_number_that_may_mean_missing(value, others, doubted):
    frame = pd.DataFrame({"v": [*others, *[value] * 20], "w": [*others, *[value] * 20]}).round(3)
    found = sentinels(infer_columns(frame), frame)
    assert len(found) == doubted
    target = read_target(frame["v"], "regression")
    assert len(sentinels({}, frame[["w"]], target)) == doubted
    if doubted:
        assert found[0].remedy.endswith(f"--missing {value}")
        assert "1 more column" in found[0].evidence
