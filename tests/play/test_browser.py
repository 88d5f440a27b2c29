"""The page in a real Chromium: every control, both languages, nothing asked elsewhere."""

import json
import os
import re
import time

import pytest
from chromium import FOUND, Chromium
from played import open_page, serve_page

pytest.importorskip("uvicorn", reason="needs uvicorn")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason="needs Chromium or Chrome on the PATH"),
    pytest.mark.skipif(os.name != "posix", reason="a browser is driven through pipes of POSIX"),
]

TOWNS = "age,income,town,paid\n" + "".join(
    f"{20 + k % 37},{1000 + 61 * k},{'ABC'[k % 3]},{'no' if k % 37 < 18 else 'yes'}\n"
    for k in range(90)
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_page(tmp_path_factory.mktemp("play")) as address:
        yield address


@pytest.fixture
def page(address, tmp_path):
    page = Chromium(tmp_path)
    try:
        open_page(page, address)
        yield page
        assert page.errors() == []
        hosts = {re.match(r"(\w+:(?://[^/]*)?)", url)[1] for url in page.requests()}
        assert hosts <= {address.split("/?")[0], "about:"}
    finally:
        page.close()


def settings_of(page):
    text = page.run("return location.hash.slice(1)")
    script = f"return (await import('./page/link.js')).decodeSettings({json.dumps(text)})"
    return page.run(script)


def change(page, script, check):
    """Do something, and wait until the settings say so."""
    page.run(script)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        settings = settings_of(page)
        if check(settings["data"], settings["networks"][0]):
            return
        time.sleep(0.1)
    raise AssertionError(f"{script}: {settings}; {page.run('return shown(`#said`)')}")


def test_xor_needs_a_hidden_layer(page):
    """The learner's path of the guide."""
    change(page, "put('Data set', 'xor')", lambda data, net: data["name"] == "xor")
    change(page, "named('One hidden layer less').click()", lambda data, net: not net["layers"])
    page.run("put('Speed', '0'); named('Play').click()")
    page.wait("step() > 2000", 60)
    page.run("named('Pause').click()")
    accuracy = "Number(document.querySelectorAll('.scores td')[2].textContent.split(' ')[0])"
    assert page.run(f"return {accuracy}") < 80
    change(page, "named('One hidden layer more').click()", lambda data, net: net["layers"])
    page.run("named('Play').click()")
    page.wait(f"step() > 2000 && {accuracy} > 90", 60)
    page.run("named('Pause').click()")
    page.run("named('Begin').click()")
    page.wait("document.querySelector('#walk .stage')")
    for _ in range(6):
        page.run("named('Next').click()")
    assert "equation 2" in page.run("return shown('#walk .stage h3')")
    assert page.run("return shown('#walk .stage')").count("jax.grad") == 1
    page.run("named('Back').click()")
    page.wait("shown('#walk .stage h3').includes('equation 1')")


def test_a_step_by_hand_is_applied_and_taken_back(page):
    page.run("named('Begin anew').click()")
    page.wait("step() === 0")
    change(page, "put('Update rule', 'sgd')", lambda data, net: net["rule"] == "sgd")
    page.run("set(document.querySelector('#walk input'), '5')")
    page.wait("shown('#walk .faint').includes('Example 5,')")
    assert page.run("return document.querySelectorAll('#walk .path button').length") == 16
    page.run("[...document.querySelectorAll('#walk .path button')].at(-1).click()")
    page.wait("named('Apply the update')")
    page.run("named('Apply the update').click()")
    page.wait("step() === 1 && shown('#walk h3') === 'Forward pass, after the update'")
    page.run("[...document.querySelectorAll('#walk .path button')].at(-1).click()")
    tables = "[...document.querySelectorAll('#walk .numbers')]"
    numbers = f"{tables}.map((one) => Number(one.innerText))"
    after, before = page.run(f"return {numbers}")
    assert after < before
    page.wait("named('Next').disabled")
    page.run("document.querySelectorAll('#walk .path button')[4].click()")
    page.wait("step() === 0 && shown('#walk h3') === 'Forward pass'")
    assert page.run(f"return {numbers}") == [before]
    page.run("named('One step').click()")  # the way follows
    page.wait("shown('#walk .faint').includes('at step 1 of')")
    assert page.run(f"return {numbers}") != [before]


def test_every_control_of_a_network(page):
    change(
        page, "named('One hidden layer more').click()", lambda data, net: len(net["layers"]) == 2
    )
    change(page, "named('One unit more in hidden layer 1').click()",
           lambda data, net: net["layers"][0][0] == 5)  # fmt: skip
    less = "named('One unit less in hidden layer 2').click()"
    change(page, less, lambda data, net: net["layers"][1][0] == 3)
    change(
        page, "choose('.column select', 'relu')", lambda data, net: net["layers"][0][1] == "relu"
    )
    for label, value, name in (
        ("Loss", "squared_error", "loss"), ("Initialization", "he_normal", "initializer"),
        ("L2", "0.01", "l2"), ("Dropout", "0.1", "dropout"), ("Batch (", "8", "batch_size"),
        ("Seed", "3", "seed"), ("Update rule", "rmsprop", "rule"),
    ):  # fmt: skip
        change(
            page, f"put('{label}', '{value}')", lambda data, net, n=name, v=value: str(net[n]) == v
        )
    change(page, "put('Decay', '0.5')", lambda data, net: net["numbers"]["decay"] == 0.5)
    change(page, "put('Learning rate', '0.2')",
           lambda data, net: net["numbers"]["learning_rate"] == 0.2)  # fmt: skip
    change(page, "[...document.querySelectorAll('.settings .check input')][0].click()",
           lambda data, net: net["batch_norm"])  # fmt: skip
    page.run("named('Backward pass').click()")
    page.wait("shown('.detail').includes('gradients')")
    page.run("document.querySelector('.unit').click()")
    page.wait("shown('.outside h3').includes('unit 1')")
    assert page.run("return document.querySelectorAll('.graph path').length") == 2 * 5 + 5 * 3 + 3


def test_every_data_set_and_its_controls(page):
    for name in ("circle", "gaussians", "spirals", "function", "digits", "drawn", "xor"):
        change(page, f"put('Data set', '{name}')", lambda data, net, n=name: data["name"] == n)
    for label, value, name in (
        ("Noise", 0.3, "noise"), ("Examples", 200, "size"), ("Share", 0.5, "test"),
    ):  # fmt: skip
        change(page, f"put('{label}', '{value}')", lambda data, net, n=name, v=value: data[n] == v)
    box = "[...document.querySelectorAll('#data fieldset input')]"
    change(page, f"{box}[4].click()", lambda data, net: "x1*x2" in data["inputs"])
    change(page, "[...document.querySelectorAll('#data_fields > .check input')].at(-1).click()",
           lambda data, net: data["standardize"])  # fmt: skip
    change(page, "named('Draw anew').click()", lambda data, net: data["seed"] > 0)


def test_of_presses_in_quick_succession_none_is_lost(page):
    presses = "; await new Promise((next) => setTimeout(next, 5)); ".join(
        f"named('{name}').click()"
        for name in ("Draw anew", "One step", "One hidden layer more", "Begin anew", "One step",
                     "One unit more in hidden layer 1", "Begin anew", "Draw anew")
    )  # fmt: skip
    seed, layers = settings_of(page)["data"]["seed"], settings_of(page)["networks"][0]["layers"]
    change(page, presses, lambda data, net: data["seed"] == seed + 2
           and len(net["layers"]) == len(layers) + 1
           and net["layers"][0][0] == layers[0][0] + 1)  # fmt: skip


def test_points_are_drawn_by_press_and_by_keyboard(page):
    change(page, "put('Data set', 'drawn')", lambda data, net: data["name"] == "drawn")
    page.wait("named('Take the last one back')")
    before = len(settings_of(page)["data"]["points"])
    change(page, "put('Draw class', '0'); put('x1', '1.5'); named('Add').click()",
           lambda data, net: [1.5, 0, 0] in data["points"])  # fmt: skip
    change(page, "const c = document.querySelector('.output'), b = c.getBoundingClientRect();"
           "c.dispatchEvent(new MouseEvent('click', {clientX: b.left + b.width / 4,"
           "clientY: b.top + b.height / 4}))",
           lambda data, net: len(data["points"]) == before + 2)  # fmt: skip
    change(page, "named('Take the last one back').click()",
           lambda data, net: len(data["points"]) == before + 1)  # fmt: skip


def test_a_table_is_dropped_and_its_columns_are_chosen(page):
    drop = (
        "const files = new DataTransfer(); files.items.add(new File([{}], {}));"
        "document.dispatchEvent(new DragEvent('drop', {{dataTransfer: files, cancelable: true}}))"
    )
    change(
        page,
        drop.format(json.dumps(TOWNS), "'towns.csv'"),
        lambda data, net: data["name"] == "table",
    )
    page.wait("shown('#data_more').includes('towns.csv')")
    change(page, "put('town', 'B')", lambda data, net: data["held"] == {"town": "B"})
    change(
        page, "put('To the right', 'income')", lambda data, net: data["plane"] == ["income", "age"]
    )
    change(page, "put('Predict', 'income')", lambda data, net: data["target"] == "income")
    change(page, "[...document.querySelectorAll('#data_more fieldset input')][0].click()",
           lambda data, net: data["columns"] == ["town", "paid"])  # fmt: skip
    page.run(drop.format("'nothing'", "'a.exe'"))
    page.wait("shown('#said').includes('no table')")
    page.events = [event for event in page.events if event["method"] != "Log.entryAdded"]


def test_time_is_turned_back_and_two_networks_are_compared(page):
    change(page, "put('Data set', 'circle')", lambda data, net: data["name"] == "circle")
    page.run("named('Begin anew').click()")
    page.wait("step() === 0")
    for n in range(1, 4):
        page.run("named('One step').click()")
        page.wait(f"step() === {n}")
    page.run("choose('#rewind', '2')")
    page.wait("step() === 2")
    page.run("choose('#rewind_to', '1')")
    page.wait("step() === 1 && document.querySelector('#rewind').max === '1'")
    page.run("named('Two networks').click()")
    page.wait("document.querySelectorAll('.network').length === 2")
    page.wait("document.querySelectorAll('.scores').length === 2")
    page.run("put('Speed', '25')")
    page.run("named('Play').click()")
    page.wait("step() > 5")
    page.run("named('Pause').click(); named('Two networks').click()")
    page.wait("document.querySelectorAll('.network').length === 1")


def test_doctor_python_run_folder_and_link(page, address):
    change(page, "put('Initialization', 'zeros')", lambda data, net: net["initializer"] == "zeros")
    page.run("named('Ask the doctor').click()")
    page.wait("document.querySelector('.findings .cure')", 120)
    change(page, "document.querySelector('.findings .cure').click()",
           lambda data, net: net["initializer"] == "auto")  # fmt: skip
    page.run("named('The Python for this').click()")
    page.wait("document.querySelector('.script')?.textContent.includes('jaxmlp.MLPConfig')")
    page.run("named('Save as a run').click()")
    page.wait("document.querySelector('.answer pre')?.textContent.startsWith('jaxmlp predict')")
    change(page, "put('Noise', '0.25')", lambda data, net: data["noise"] == 0.25)
    link = page.run("return location.href")
    change(page, "put('Noise', '0.5')", lambda data, net: data["noise"] == 0.5)
    page.open("about:blank")
    page.open(link)
    page.wait("document.querySelector('.scores td')", 60)
    assert settings_of(page)["data"]["noise"] == 0.25


def test_both_languages(page):
    for language, word in (("vi", "Lan truyền ngược"), ("en", "Backward pass")):
        page.run(f"choose('#language', '{language}')")
        page.wait(f"document.body.innerText.includes('{word}')")
        assert page.run("return document.documentElement.lang") == language


def test_findings_speak_the_page_s_language(page):
    change(page, "put('Initialization', 'zeros')", lambda data, net: net["initializer"] == "zeros")
    page.run("named('Ask the doctor').click()")
    page.wait("document.body.innerText.includes('have the same weights')", 120)
    page.run("choose('#language', 'vi')")
    page.wait("shown('.findings').includes('có cùng trọng số (chúng chỉ khác nhau')")
    assert "same weights" not in page.run("return shown('.findings')")
    page.run("choose('#language', 'en')")


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_page_and_all_has_a_name(page, width):
    page.size(width, 900)
    assert page.run("return document.documentElement.scrollWidth") <= width
    nameless = """return [...document.querySelectorAll('button, input, select, [role=img]')]
      .filter((n) => !(n.getAttribute('aria-label') || n.textContent.trim() || n.labels?.length))
      .map((n) => n.outerHTML)"""
    assert page.run(nameless) == []
    page.run("document.activeElement.blur()")
    seen = set()
    for _ in range(60):
        for kind in ("keyDown", "keyUp"):
            page.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                      windowsVirtualKeyCode=9)  # fmt: skip
        seen.add(page.run("return document.activeElement.textContent.slice(0, 20)"))
    assert {"Play", "One step", "Backward pass", "Ask the doctor"} <= seen
