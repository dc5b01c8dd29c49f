"""One row: a field for each feature, the live answer, errors at the fields, addresses, and the request as code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import playwright
import pytest
from playwright.sync_api import expect

from service.repository.manifest import read
from tests.browser.conftest import Tab
from tests.browser.models import NAMES

pytestmark = pytest.mark.xdist_group("browser")  # one browser, one set of servers

NODE = f"{playwright.__path__[0]}/driver/node"


def said(tab: Tab, estimator: Any, row: list[Any]) -> None:
    """Check that the page shows scikit-learn's prediction of a row."""
    rows: Any = np.array([row], dtype=float)
    if hasattr(estimator, "feature_names_in_"):
        rows = pd.DataFrame([row], columns=list(estimator.feature_names_in_))
    expected = estimator.predict(rows)
    if hasattr(estimator, "predict_proba"):
        shares = [float(each.get_attribute("value") or "nan") for each in tab.page.query_selector_all(".bars data")]
        np.testing.assert_allclose(shares, estimator.predict_proba(rows)[0], atol=1e-6)
    else:
        np.testing.assert_allclose(tab.value(".label data"), expected[0], rtol=1e-6)


def test_each_model_answers_its_example(tab: Tab, models: Any) -> None:
    """There is a field for each feature, and an answer."""
    tab.open()
    for name in NAMES:
        tab.go(f"#/try/{name}")
        tab.settled()
        features = read(models[0] / name / "1").features
        names = tab.page.locator(".field :is(.name, legend)").all_text_contents()
        assert names == [feature.name.strip() or "(blank)" for feature in features]
        assert tab.page.locator(".answer .fault").count() == 0
        assert tab.page.locator(".answer :is(.label, dd)").count() >= 1, name
        assert " ms" in tab.page.inner_text("#time"), name


@pytest.mark.parametrize(("name", "feature", "row"), [("iris", 2, [1, 2, 3, 4]), ("diabetes", 2, None)])
def test_the_answer_follows_a_slider(
    tab: Tab, estimators: dict[str, Any], models: Any, name: str, feature: int, row: list[float] | None
) -> None:
    """If the slider is moved by mouse or by key, the page shows scikit-learn's prediction."""
    tab.open(f"#/try/{name}")
    tab.settled()
    row = list(row or read(models[0] / name / "1").signature.example)  # type: ignore[arg-type]
    slider = tab.page.locator(".field input[type=range]").nth(feature)
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2

    tab.page.mouse.move(box["x"] + box["width"] / 2, middle)
    tab.page.mouse.down()
    seen = set()
    for share in (0.3, 0.6, 0.9):
        tab.page.mouse.move(box["x"] + box["width"] * share, middle)
        tab.settled()
        row[feature] = float(slider.input_value())
        assert tab.page.input_value(f"#f{feature}") == slider.input_value()
        said(tab, estimators[name], row)
        seen.add(row[feature])
    tab.page.mouse.up()
    slider.press("ArrowLeft")
    tab.settled()
    row[feature] = float(slider.input_value())
    said(tab, estimators[name], row)

    assert len(seen | {row[feature]}) == 4


def test_what_is_typed_is_sent_to_the_digit(tab: Tab) -> None:
    """The text of the field is sent as a JSON number; it is not rounded to a number of JavaScript."""
    tab.open("#/try/iris")
    others = '"sepal_width": 2, "petal_length": 3, "petal_width": 4'
    with tab.page.expect_request(lambda each: b"5.10000000000000000001" in (each.post_data_buffer or b"")) as sent:
        tab.page.fill("#f0", "5.10000000000000000001")

    assert sent.value.post_data == f'{{"instances": [{{"sepal_length": 5.10000000000000000001, {others}}}]}}'


ERRORS = [
    ("iris", "f1", "a lot", "sepal_width must be a number."),
    ("iris", "f3", "", "petal_width must be a number."),
    (
        "penguins",
        "f1",
        "1e39",
        "bill_length_mm is too large for this model: it computes with numbers up to 3.403e+38.",
    ),
    ("names", "f3", "x", "a/b~c?%41 must be a number."),
    ("gaps", "f1", "1.5", "siblings must be a whole number of less than 2^53."),
]


def test_an_error_is_shown_at_its_field(tab: Tab) -> None:
    """The service's sentence stands at the field that the pointer names, until the service takes the value."""
    tab.refused = {422}
    tab.open()
    for name, field, value, sentence in ERRORS:
        tab.go(f"#/try/{name}")
        before = tab.page.input_value(f"#{field}")
        tab.page.fill(f"#{field}", value)

        expect(tab.page.locator(f"#{field}-fault")).to_have_text(sentence)
        expect(tab.page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
        expect(tab.page.locator(".answer .fault")).to_have_text(sentence)
        assert tab.page.locator(".field .fault:not(:empty)").count() == 1

        tab.page.fill(f"#{field}", before)
        expect(tab.page.locator(".answer .fault")).to_have_count(0)
        expect(tab.page.locator(f"#{field}[aria-invalid]")).to_have_count(0)


def test_each_type_has_its_field(tab: Tab) -> None:
    """A slider, a switch, choices, a list, suggestions, a text area; and a way to say that a value is missing."""
    tab.open("#/try/gaps")
    page = tab.page

    def body_after(act: Any, part: str) -> None:
        with page.expect_request(lambda each: part in (each.post_data or "")):
            act()

    age = page.input_value("#f0")
    body_after(lambda: page.check("#f0-missing"), '"age": null')
    assert page.input_value("#f0") == ""
    body_after(lambda: page.uncheck("#f0-missing"), f'"age": {age},')
    body_after(lambda: page.fill("#f0", ""), '"age": null')
    assert page.is_checked("#f0-missing")
    assert page.get_attribute(".field:nth-child(2) [type=range]", "step") == "1"
    body_after(lambda: page.check("#f2"), '"smokes": true')
    assert page.get_by_role("switch", name="smokes").is_checked()
    body_after(lambda: page.select_option("#f3", "very large"), '"size": "very large"')
    body_after(lambda: page.fill("#f4", "Zürich"), '"city": "Zürich"')
    expect(page.locator("#f4-hint")).to_contain_text("Not among the categories")
    assert page.locator("#f4-known option").count() == 3
    body_after(lambda: page.get_by_role("radiogroup", name="sex").get_by_label("missing").check(), '"sex": null')
    tab.settled()
    assert page.locator(".answer .fault").count() == 0

    tab.open("#/try/texts")
    body_after(lambda: page.fill("textarea#f0", 'so "good"\n\tgood'), r'"review": "so \"good\"\n\tgood"')
    expect(page.locator(".label")).to_have_text("good")


def test_a_value_outside_the_training_range_is_marked(tab: Tab) -> None:
    """The answer is still shown."""
    tab.open("#/try/iris?petal_length=12")
    tab.settled()

    expect(tab.page.locator("#f2-hint")).to_have_text("Outside the training range, 1 to 6.9")
    assert tab.page.locator(".label").inner_text() == "Virginica"


def test_of_many_features_one_is_found(tab: Tab) -> None:
    """The search finds features by a part of their name."""
    tab.open("#/try/wide")
    tab.page.fill("#find", "Feature_19")

    expect(tab.page.locator(".field:visible")).to_have_count(11)  # 19 and 190 to 199
    expect(tab.page.get_by_text("11 shown")).to_be_visible()


@pytest.mark.parametrize("name", ["names", "gaps", "texts"])
def test_an_address_holds_model_version_and_values(tab: Tab, name: str) -> None:
    """A person who opens the link sees the same. No request contains the values of the address."""
    tab.open(f"#/try/{name}/1")
    tab.settled()
    field = {"names": "f3", "gaps": "f4"}.get(name, "f0")
    value = {"gaps": "a&b=c #?%41 ü", "texts": "50 % & more = so good?"}.get(name, "0.125")
    tab.page.fill(f"#{field}", value)
    if name == "gaps":
        tab.page.check("#f0-missing")
    tab.settled()
    tab.page.wait_for_url(lambda url: "?" in url)
    tab.page.get_by_role("button", name="Copy link").click()
    answer, link = tab.page.inner_text(".answer .stack"), tab.page.url

    tab.open(link.partition("/#")[2].join(["#", ""]))
    tab.settled()

    assert tab.page.input_value(f"#{field}") == value
    assert tab.page.inner_text(".answer .stack") == answer
    assert tab.page.input_value("#version") == "1"
    if name == "gaps":
        assert tab.page.is_checked("#f0-missing")
    assert all("?" not in url.partition("#")[0] for url in tab.requests)


def test_a_link_with_strange_features_says_so(tab: Tab) -> None:
    """The page shows the example's values for features that the link lacks."""
    tab.open("#/try/iris?petal_width=1.5&colour=blue")

    expect(tab.page.get_by_text("features that this model does not have: colour.")).to_be_visible()
    assert [tab.page.input_value(f"#f{i}") for i in range(4)] == ["1", "2", "3", "1.5"]


def test_models_and_versions_are_picked(tab: Tab) -> None:
    """By the lists; and the browser's way back works."""
    tab.open("#/try/penguins")
    tab.settled()
    expect(tab.page.locator("#time")).to_contain_text("Version 2 answered")

    tab.page.select_option("#version", "1")
    expect(tab.page.locator("#time")).to_contain_text("Version 1 answered")
    tab.page.select_option("#model", "iris")
    expect(tab.page.locator("h1")).to_have_text("iris")
    assert tab.page.title() == "iris · Model server"
    tab.page.go_back()
    expect(tab.page.locator("h1")).to_have_text("penguins")
    expect(tab.page.locator("#version")).to_have_value("1")


def test_the_address_of_what_one_leaves_does_not_come_back(tab: Tab) -> None:
    """Values are written into the address with a delay. If another model was picked meanwhile, they are not written."""
    tab.open("#/try/gaps")
    tab.settled()
    tab.page.evaluate(
        """() => {
            const replace = history.replaceState.bind(history);
            window.written = [];
            history.replaceState = (...given) => { written.push(given[2]); replace(...given); };
            const field = document.getElementById("f0");
            field.value = "30";
            field.dispatchEvent(new Event("input"));
            location.hash = "#/try/iris";
        }"""
    )
    expect(tab.page.locator("h1")).to_have_text("iris")
    tab.settled()
    tab.page.fill("#f0", "5")
    tab.page.wait_for_url(lambda url: "sepal_length=5" in url)

    assert [address.partition("?")[0] for address in tab.page.evaluate("written")] == ["#/try/iris"]


def test_back_to_the_example(tab: Tab) -> None:
    """One click undoes all changes."""
    tab.open("#/try/iris?petal_width=1.5&sepal_width=3")
    tab.page.get_by_role("button", name="Back to the example").click()
    tab.settled()

    assert [tab.page.input_value(f"#f{i}") for i in range(4)] == ["1", "2", "3", "4"]


RUN: dict[str, Callable[[str], list[str]]] = {
    "curl": lambda code: ["sh", "-c", f"{code.rstrip()} -sS"],
    "Python": lambda code: [sys.executable, "-c", code],
    "JavaScript": lambda code: [NODE, "--input-type=module", "-e", code],
    "Open Inference": lambda code: [sys.executable, "-c", code],
}


@pytest.mark.parametrize("name", ["iris", "names", "gaps", "unicode", "texts"])
def test_each_sample_runs_and_says_what_the_page_says(tab: Tab, name: str) -> None:
    """It is copied by its button, and run without changes."""
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(f"#/try/{name}")
    if name == "gaps":
        tab.page.check("#f0-missing")
    tab.settled()
    shown = tab.page.inner_text(".label") if name != "names" else tab.page.inner_text("dd >> nth=0")

    running = []
    for language, command in RUN.items():
        tab.page.get_by_role("button", name=language, exact=True).click()
        tab.page.locator("#copy").click()
        expect(tab.page.locator("#copy")).to_have_text("Copied")
        code = tab.page.evaluate("navigator.clipboard.readText()")
        assert code == tab.page.inner_text("#code")
        running.append((language, subprocess.Popen(command(code), stdout=subprocess.PIPE, text=True)))

    for language, process in running:
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 0, language
        if language == "curl":
            output = json.dumps(json.loads(output)["predictions"], ensure_ascii=False)
        assert shown[:6] in output or repr(shown.encode()) in output, (language, output)
