"""Cells of tables as people write them: ordinary, odd, and at random."""

import numpy as np
import pytest

from jaxmlp.data.tables.schema import Column

pd = pytest.importorskip("pandas")

N = 300
RNG = np.random.default_rng(0)
COLUMNS = {
    "preis": Column("preis", "number", ","),
    "room": Column("room", "category"),
    "Geschlecht": Column("Geschlecht", "boolean"),
    "gesehen am": Column("gesehen am", "date", "dmy"),
    "seen": Column("seen", "date", "mdy"),
    "class": Column("class", "category"),
    "unused": Column("unused", "drop"),
    "sex": Column("sex", "boolean"),
}
KINDS = ("number", "number", "number", "category", "category", "category", "boolean", "boolean",
         "category", "category", "date", "date", "date", "text", "number", "category",
         "boolean")  # fmt: skip


def draw(*cells):
    """N cells, of these at random."""
    return [str(cell) for cell in RNG.choice(cells, N)]


def dates(form):
    minutes = RNG.integers(0, 900 * 1440, N)
    return [
        (pd.Timestamp("2019-03-01") + pd.Timedelta(minutes=int(m))).strftime(form) for m in minutes
    ]


TRAINING = {
    "amount": [f"{value:.2f}" for value in RNG.lognormal(3, 2, N)[:-9]] + ["?"] * 9,
    "weight": [f"{value:.1f}" for value in RNG.normal(70, 2, N)],
    "preis": [f"{value:.2f}".replace(".", ",") for value in RNG.normal(9, 3, N)],
    "town": draw("A", "B b", "Ç", "it's", 'say "hi"', "back\\slash", "C??/", "", "NA"),
    "room": draw("1", "2", "3", "007", "7", "4.0", "12.50"),
    "size": draw(*(["S", "M"] * 40 + ["one-off"])),
    "flag": draw("yes", "no", ""),
    "Geschlecht": draw("Männlich", "WEIBLICH", "weiblich"),
    "class": draw("open", "closed"),
    "label": draw(*"abcdefghij"),
    "born": dates("%Y-%m-%d %H:%M:%S")[:-5] + [""] * 5,
    "gesehen am": dates("%d.%m.%Y"),
    "seen": dates("%m/%d/%Y %I:%M %p"),
    "note": [f"a text, number {k}" if k % 3 else "" for k in range(N)],
    "unused": ["x"] * N,
    "logits": [str(value) for value in RNG.integers(0, 90, N)],
    "answer": draw("yes", "No", "perhaps"),
    "sex": draw("1", "2"),
}  # fmt: skip
ODD = {
    "amount": (
        "1,200", "-$3.5", "12%", "(5)", "5k", "2.5M", "€ 7", "£1,234.5", "1 234", "1\u202f234.5",
        "1'000", "\u22125", "+4", "1e3", ".5", "5.", "many", "unknown", "-999", "-999.0", "inf",
        "1e400", "1e-200", "1e99", "-1e200", "1,2", "0,500", "12,34", "--5", "$", "1_0", "0x10",
        " 8 ", "nan", "N/A", "5 k", "(5k)", "($ 5)", "$-5", "-$ 5", "1e", "9" * 40, "\u00a07\u00a0",
        "1,234,567", "1.234.567", "K", "(", "()", "5)", "1 23", "1 234 567,5", "3.0.1", None,
    ),
    "preis": (
        "1.200", "3,5", "1 234,5", "1.234.567,8", "3.5", "0.500", "1,2,3", "12", "(4,5)", "5k",
        "1,5k", "€ 3,50", "1,5e2", "-999", "2.500k", "none", None,
    ),
    "town": (
        "A", "a", " A\t", "B b", "B  b", "new", "Ç", "ç", "NULL", "-", "(missing)", "(rare)", None,
    ),
    "room": (
        "1", "1.0", "1,0", "1.00", "1 ", "007", "7", "7.0", "07", "4", "4.0", "12.5", "12.50",
        "three", "nan", "-999", None,
    ),
    "size": ("S", "M", "one-off", "never seen", "", None),
    "flag": (
        "Yes", "NO", "y", "TRUE", "false", "1", "0", "1.0", "0,0", "on", "oFF", "maybe", "2", None,
    ),
    "Geschlecht": ("MÄNNLICH", "männlich", "weiblich", "Weiblich", "divers", "1", "?", None),
    "class": ("open", "closed", "ajar", "", None),
    "label": ("a", "A", "k", None),
    "born": (
        "2020-02-29", "2021-02-29", "2020-2-3", "2020/02/03", "2020.02.03", "2020-02-03T04:05",
        "2020-02-03 04:05:06.5", "2020-02-03 4:05 PM", "2020-02-03 12:00 a.m.", "20200203",
        "20200203 04:05", "2020-02", "2020/13", "2020-13-01", "2020-02-03T04:05:06Z",
        "2020-02-03T04:05:06+05:30", "2020-02-03 04:05-0800", "2020-02-03, 04:05", "soon", "24:00",
        "12:30", "2020-02-03 24:00", "2020-02-03 23:59:60", "1850-05-05", "2020-02-30", "-999",
        "2020-01-01T00:00:00.123456789", "2020-02/03", "20-02-03", "2020-02-03 13:00 PM",
        "20201301", "2020-02-03  04:05", "2020-02-03 04:05 +25:00", None,
        "Jan 5, 2020", "5 January 2020", "Sunday, 5 jan 2020", "5th of May", "05-Jan-20",
        "5-jan-69", "Sept 2020", "March 2020", "feb. 3 2020 6:00 AM", "5. Mai 2020",
        "mon 6 jan 2020", "1st May 2020", "2 nd May 2020", "31 February 2020",
    ),
    "gesehen am": (
        "03.02.2020", "3.2.2020", "3/2/2020 18:30", "2020-02-03", "31.04.2020", "03-02-2020",
        "3.2.20", "20200203", "1.1.1970", "31/12/20", "1/2/69 18:30", "1/2/020", None,
    ),
    "seen": (
        "02/03/2020", "2/3/2020 6:30 pm", "13/01/2020", "02-03-2020", "2/3/2020 6:30PM", "2/3/20",
        "12/31/19 6:30 PM", "13/1/20", "2-3-20", "2020/3/2",
    ),
    "answer": ("Yes", "no", "TRUE", "False", "1.0", "0", "on", "y", "tRue", "perhaps", "2", None),
    "sex": ("1.0", "2", "2,0", "3", "yes", "2.00", None),
    "note": ("text", "", "?", " ", None),
}  # fmt: skip
NUMBER_LEVELS = ("01", "$1", "1e0", "2%", "0.003k")  # of a category: ONNX does not know them


def rows_of(odd):
    """Rows of ordinary cells, of which the first are odd ones, in every column."""
    rng = np.random.default_rng(2)
    columns = {
        name: [str(cell) for cell in rng.choice(cells, N)] for name, cells in TRAINING.items()
    }
    for name, cells in odd.items():
        columns[name][: len(cells)] = cells
    return columns


def number_like(rng):
    tokens = (
        "1", "2", "0", "12", "345", "1,234", "1.234", "000", ",", ".", "-", "+", " ", "$", "€", "£",
        "%", "k", "M", "K", "e3", "(", ")", "'", "\u202f", "\u00a0", "\u2212",
    )  # fmt: skip
    return "".join(rng.choice(tokens, rng.integers(1, 7)))


MONTHS = ("Jan", "february", "MAR", "april.", "May", "June", "jul", "August", "Sept", "Mai")
WEEKDAYS = ("", "", "Mon ", "tues, ", "Tuesday, ", "Wed. ", "wednesday ", "Thu, ")
FORMS = (
    "{y}-{m:02}-{d:02}", "{d}.{m}.{y}", "{m}/{d}/{y}", "{y}{m:02}{d:02}", "{y}-{m:02}", "{y}/{m}",
    "{day}{name} {d}{th} {y}", "{day}{name} {d}{th}, {y}", "{day}{d}{th} {name} {y}", "{name} {y}",
    "{d}-{name}-{short:02}", "{day}{name}/{y}", "{d}{th}{name},{y}", "{y}.{m}.{d}",
    "{d}/{m}/{short:02}",
)  # fmt: skip


def date_like(rng):
    """A date or something like one, as likely with a time."""
    d, m, y = rng.integers(1, 32), rng.integers(1, 14), rng.choice([2020, 1969, 1850, 2400])
    words = {"name": rng.choice(MONTHS), "day": rng.choice(WEEKDAYS)}
    th = rng.choice(["", "st", "nd", "th", ".", "th,"])
    text = str(rng.choice(FORMS)).format(d=d, m=m, y=y, short=y % 100, th=th, **words)
    if rng.random() < 0.5:
        text += rng.choice([" ", "T", ", ", "  ", "t", ""])
        text += f"{rng.integers(26)}:{rng.integers(62):02}"
        text += rng.choice(["", ":05", ":59.5", ":60", ":05.123456", ":5"])
        text += rng.choice(["", "", " PM", "am", " a.m.", " P.M", "p"])
        text += rng.choice(["", "", "Z", "+05:30", "-0800", " +01:00", "+5"])
    return text


ANY_CELLS = [
    (number_like(rng), date_like(rng)) for rng in [np.random.default_rng(1)] for _ in range(2000)
]
ORDERS = ("ymd", "dmy", "mdy")
