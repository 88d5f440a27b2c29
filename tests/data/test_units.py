"""Numbers with units: read, kept, and refused where they differ."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import Schema, infer_columns, read_target

N = 60
AMOUNTS = np.round(np.random.default_rng(0).uniform(1000, 9000, N), 2)


def infer(cells):
    return infer_columns(pd.DataFrame({"c": cells}))["c"]


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        ("{} kmpl", "kmpl"),
        ("{}CC", "CC"),
        ("{:,} km", "km"),
        ("{} km/h", "km/h"),
        ("{} m²", "m²"),
        ("{} °C", "°C"),
        ("{}%", "%"),
        ("${}", "$"),
        ("{} €", "€"),
        ("USD {}", "USD"),
        ("-{} m", "m"),
    ],
)
def test_numbers_with_a_unit_are_the_numbers(form, unit):
    cells = [form.format(v) for v in AMOUNTS]
    column = infer(cells)
    assert (column.kind, column.unit) == ("number", unit)
    assert unit in column.reason
    plain = pd.DataFrame({"c": -AMOUNTS if form.startswith("-") else AMOUNTS})
    with_unit = pd.DataFrame({"c": cells})
    np.testing.assert_array_equal(
        TablePreprocessor.fit(with_unit).transform(with_unit),
        TablePreprocessor.fit(plain).transform(plain),
    )


def test_a_factor_and_a_decimal_comma():
    assert infer([f"${k}k" for k in range(1, N)]).unit == "$"
    column = infer([f"{v} kg".replace(".", ",") for v in AMOUNTS])
    assert (column.style, column.unit) == (",", "kg")


@pytest.mark.parametrize(
    ("units", "kind"), [(("kg", "g"), "text"), (("kmpl", "km", "kg"), "text"), (("$", "€"), "text")]
)
def test_mixed_units_are_refused(units, kind):
    cells = [f"{v} {units[k % len(units)]}" for k, v in enumerate(AMOUNTS)]
    column = infer(cells)
    assert column.kind in (kind, "drop")
    assert column.reason.startswith(f"mixed units: {units[0]}, {units[1]}")
    few = [f"{k % 3} {units[k % len(units)]}" for k in range(N)]
    assert infer(few).kind == "category"
    assert "mixed units" in infer(few).reason


@pytest.mark.parametrize(
    "cells",
    [
        ["5 km", "7 Km", "3 KM."],
        ["1 year", "2 years", "3 Years"],
    ],
)
def test_one_unit_in_several_spellings(cells):
    assert infer(cells * 20).kind == "number"


@pytest.mark.parametrize("cells", [["5 mW", "5 MW", "7 mW", "7 MW"], ["1st", "2nd", "3rd", "4th"]])
def test_other_units_are_no_spellings(cells):
    assert infer(cells * 20).kind == "category"


def test_new_rows_are_read_in_the_same_unit():
    table = pd.DataFrame({"speed": [f"{v} km/h" for v in AMOUNTS]})
    fitted = TablePreprocessor.fit(table)
    restored = TablePreprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert restored == fitted
    new = {"speed": ["1,500 KM/H", "1500", "1500 mph"]}
    x = restored.transform(new)
    assert x[0] == x[1] != x[2] == 0
    (remark,) = restored.remarks(new)
    assert remark == "speed: 1 not in km/h, as in training, but in mph: missing"


def test_a_schema_keeps_the_unit():
    schema = Schema({"c": infer([f"{v} bhp" for v in AMOUNTS])})
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again.columns["c"].unit == "bhp"
    assert again == schema


def test_a_target_with_a_unit():
    target = read_target(pd.Series([f"{v} kWh" for v in AMOUNTS], name="y"))
    np.testing.assert_array_equal(target.y, AMOUNTS)
    assert "kWh" in target.reason
