"""Many rows: CSV in, predictions as new columns, faulty rows marked, CSV out."""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Route, expect

from service.repository.manifest import Manifest, read
from tests.browser.conftest import Tab
from tests.browser.models import NAMES

pytestmark = pytest.mark.xdist_group("browser")  # one browser, one set of servers

RNG = np.random.default_rng(3)
IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
BAD = {17: ("petal_width", "x"), 4321: ("sepal_length", ""), 9999: ("petal_length", "1e400")}


def iris_rows(count: int) -> pd.DataFrame:
    """Rows like those of iris, with one more column of the user's own."""
    rows = pd.DataFrame(RNG.uniform(0.1, 7.9, (count, 4)).round(2), columns=IRIS)
    return rows.assign(id=[f"row, {i}" for i in range(count)])[["id", *reversed(IRIS)]]


def load(tab: Tab, name: str, content: str | bytes, file: str = "rows.csv") -> None:
    """Open the table of a model, and choose a file."""
    tab.open(f"#/table/{name}")
    choose(tab, content, file)


def choose(tab: Tab, content: str | bytes, file: str = "rows.csv") -> None:
    """Choose a file."""
    content = content.encode() if isinstance(content, str) else content
    tab.page.set_input_files("#file", {"name": file, "mimeType": "text/csv", "buffer": content})


def predict(tab: Tab) -> None:
    """Press the button, and wait for the end."""
    tab.page.get_by_role("button", name="Predict ").click()
    expect(tab.page.get_by_role("button", name="Download as CSV")).to_be_visible(timeout=60_000)


def download(tab: Tab) -> list[dict[str, str]]:
    """The content of the download."""
    with tab.page.expect_download() as started:
        tab.page.get_by_role("button", name="Download as CSV").click()
    with Path(started.value.path()).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_ten_thousand_rows_with_three_bad_ones(tab: Tab, estimators: dict[str, Any]) -> None:
    """The page predicts all other rows as scikit-learn does, and marks the bad rows with their sentences."""
    rows = iris_rows(10_000).astype(object)
    for row, (column, value) in BAD.items():
        rows.loc[row, column] = value
    load(tab, "iris", rows.to_csv(index=False))
    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 10,000 rows, 3 with a fault")
    assert tab.page.locator("tbody tr").count() == 50
    predict(tab)

    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 10,000 rows, 9,997 predicted, 3 with a fault")
    tab.page.get_by_role("button", name="Rows with a fault").click()
    assert tab.page.locator("tbody th").all_text_contents() == ["18", "4322", "10000"]
    assert tab.page.locator("td.ours").all_text_contents() == [
        "petal_width must be a number.",
        "sepal_length must be a number.",
        "petal_length is too large for this model: it computes with numbers up to 1e+307.",
    ]
    assert tab.page.locator("td.wrong:not(.ours)").all_text_contents() == ["x", "", "1e400"]

    found = download(tab)
    good = [i for i in range(10_000) if i not in BAD]
    numbers = rows.loc[good, IRIS].astype(float)
    classes = np.array(["Setosa", "VersiColor", "Virginica"])
    expected = classes[np.searchsorted(estimators["iris"].classes_, estimators["iris"].predict(numbers))]
    assert [found[i]["prediction"] for i in good] == expected.tolist()
    shares = [[float(found[i][f"probability_{each}"]) for each in classes] for i in good]
    np.testing.assert_allclose(shares, estimators["iris"].predict_proba(numbers), atol=1e-6)
    assert [found[i]["id"] for i in (0, 9_999)] == ["row, 0", "row, 9999"]
    assert {i: found[i]["prediction"] for i in BAD} == dict.fromkeys(BAD, "")
    assert found[17]["fault"] == "petal_width must be a number."


def test_half_of_the_rows_may_be_bad(tab: Tab) -> None:
    """The page finds bad rows by itself, without requests: it sends ten chunks of good rows, and none is refused."""
    rows = iris_rows(10_000).astype(object)
    rows.loc[::2, "petal_width"] = "bad"
    load(tab, "iris", rows.to_csv(index=False))
    before = len(tab.requests)
    predict(tab)

    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 10,000 rows, 5,000 predicted, 5,000 with a fault")
    sent = [url for url in tab.requests[before:] if url.endswith(":predict")]
    assert len(sent) == 5


def test_rows_that_only_the_service_refuses_are_found_by_halving(tab: Tab) -> None:
    """If a chunk is refused, with or without a pointer, the page splits it until the wrong row is alone."""
    tab.refused = {422}

    def refuse(route: Route) -> None:
        instances = json.loads(route.request.post_data or "")["instances"]
        bad = [i for i, row in enumerate(instances) if row[0] in (1.25, 2.5)]
        if not bad:
            route.continue_()
            return
        problem: dict[str, Any] = {"detail": "Not this one."}
        if instances[bad[0]][0] == 1.25:
            problem["pointer"] = f"/instances/{bad[0]}/0"
        route.fulfill(status=422, json=problem)

    rows = iris_rows(600)
    rows["sepal_length"] = 5.0
    rows.loc[[3, 300, 301, 599], "sepal_length"] = [1.25, 2.5, 1.25, 2.5]
    load(tab, "iris", rows.to_csv(index=False))
    tab.page.route("**/*:predict", refuse)
    predict(tab)

    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 600 rows, 596 predicted, 4 with a fault")
    faults = [i for i, row in enumerate(download(tab)) if row["fault"] == "Not this one."]
    assert faults == [3, 300, 301, 599]


def test_a_busy_service_is_asked_again(tab: Tab) -> None:
    """If the service refuses a chunk because it is busy, the page waits, and sends the chunk again."""
    tab.refused = {429}
    answers = iter([429, 429])

    def busy(route: Route) -> None:
        if (status := next(answers, None)) is None:
            route.continue_()
        else:
            route.fulfill(status=status, json={"detail": "Too early."})

    load(tab, "iris", iris_rows(20).to_csv(index=False))
    tab.page.route("**/*:predict", busy)
    predict(tab)

    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 20 rows, 20 predicted")


def test_progress_is_shown_and_it_can_be_stopped(tab: Tab) -> None:
    """The predictions so far stay, and the other rows can be predicted later."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if len(held) < 1 and json.loads(route.request.post_data or "")["instances"][0][0] == 6.5:
            held.append(route)
        else:
            route.continue_()

    rows = iris_rows(2500)
    rows.loc[2000:, "sepal_length"] = 6.5
    load(tab, "iris", rows.to_csv(index=False))
    tab.page.route("**/*:predict", hold)
    tab.page.get_by_role("button", name="Predict 2,500 rows").click()

    expect(tab.page.locator("progress")).to_have_js_property("value", 2000)
    expect(tab.page.locator("progress")).to_be_visible()
    tab.page.get_by_role("button", name="Stop").click()
    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 2,500 rows, 2,000 predicted")
    tab.page.get_by_role("button", name="Predict 500 rows").click()
    expect(tab.page.locator("#summary")).to_have_text("rows.csv: 2,500 rows, 2,500 predicted")


@pytest.mark.parametrize("how", ["paste", "type", "drop", "example"])
def test_rows_come_in_every_way(tab: Tab, how: str) -> None:
    """Rows can be pasted from a spreadsheet, typed, or dropped as a file; the page also has an example."""
    tab.open("#/table/iris")
    content = "\t".join(IRIS) + "\n5.1\t3.5\t1.4\t0.2\n"
    if how == "paste":
        tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.page.evaluate("(text) => navigator.clipboard.writeText(text)", content)
        tab.page.focus("#rows")
        tab.page.keyboard.press("Control+V")
    elif how == "type":
        tab.page.fill("#rows", content)
        tab.page.get_by_role("button", name="Use these rows").click()
    elif how == "drop":
        transfer = tab.page.evaluate_handle(
            "(text) => { const t = new DataTransfer(); t.items.add(new File([text], 'a.tsv')); return t; }", content
        )
        tab.page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    else:
        tab.page.get_by_role("button", name="Fill in the example").click()
    predict(tab)

    label = "Virginica" if how == "example" else "Setosa"
    assert tab.page.locator("tbody td").first.inner_text() == label


def test_each_model_takes_tables(tab: Tab, models: Any) -> None:
    """The golden rows get the golden answers."""
    tab.open()
    for name in NAMES:
        check_golden(tab, read(models[0] / name / "1"))


def check_golden(tab: Tab, manifest: Manifest) -> None:
    """Compare a download with the manifest."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(manifest.signature.names)
    flags = {True: "true", False: "false", None: ""}
    for row in manifest.golden.rows:
        writer.writerow([flags.get(cell, cell) if isinstance(cell, bool | None) else cell for cell in row])
    tab.go(f"#/table/{manifest.name}")
    choose(tab, "\ufeff" + table.getvalue())
    predict(tab)

    found = download(tab)
    golden = manifest.golden.predict
    if manifest.classes is not None:
        assert [row["prediction"] for row in found] == [_text(manifest.classes[i]) for i in golden]
    else:
        outputs = [key for key in found[0] if key.startswith("prediction")]
        values = [[float(row[key]) for key in outputs] for row in found]
        np.testing.assert_allclose(np.squeeze(values), np.squeeze(golden), rtol=1e-6)


def _text(label: object) -> str:
    return label if isinstance(label, str) else json.dumps(label)


UNREADABLE: list[tuple[str | bytes, str]] = [
    (" \n", "There are no rows."),
    ("sepal_length,sepal_width\n1,2\n", "The first line lacks petal_length, petal_width."),
    ("1,2,3\n", "The first line has 3 values, and the model takes 4: " + ", ".join(IRIS) + "."),
    (",".join([*IRIS, IRIS[0]]) + "\n1,2,3,4,5\n", "The first line names sepal_length more than once."),
    (",".join(IRIS) + "\n", "There are no rows below the first line."),
    ('1,"2,3,4\n', "Row 1: a quotation mark is not closed."),
    (b"\xff\xfe1", 'rows.csv is not text in UTF-8. In a spreadsheet, save it as "CSV UTF-8".'),
]


def test_a_file_that_cannot_be_read(tab: Tab) -> None:
    """A sentence gives the reason, and no request is sent."""
    tab.open("#/table/iris")
    for content, sentence in UNREADABLE:
        choose(tab, content)
        expect(tab.page.get_by_role("alert")).to_have_text(sentence)
        assert tab.page.get_by_role("button", name="Predict ").count() == 0


def test_rows_of_another_length_are_faulty_alone(tab: Tab) -> None:
    """Other rows are still predicted. Without a header, the columns go by their position."""
    load(tab, "iris", "5.1;3.5;1.4;0.2\n1;2\n5.1;3.5;1.4;0.2\n")
    predict(tab)

    assert tab.page.locator("td.ours.wrong").all_text_contents() == ["The row has 2 of 4 values."]


def test_texts_need_no_quotation_marks(tab: Tab) -> None:
    """With a model of texts, each line is one text, even if it contains commas."""
    load(tab, "texts", "so good, really\nbad, so bad\n")
    predict(tab)

    assert [row["prediction"] for row in download(tab)] == ["good", "bad"]


CELLS = ["", "1", "-0", "1.5", "1e3", "1e400", "-1e39", "01", "+1", ".5", "1.", "NaN", "x", "true", "True", "f", "huge"]


def test_the_page_says_what_the_service_says(open_tab: Callable[..., Tab], service: str) -> None:
    """For each cell, the page finds the same fault as the service, with the same sentence; for each model."""
    tab = open_tab(service)
    tab.open()
    compare = """async ([name, cells]) => {
        const { refusal, toJSON, fromCell } = await import("/static/features.js");
        const { features } = await (await fetch(`/v1/models/${name}`)).json();
        return features.flatMap((feature) => cells.map((cell) => {
            const raw = fromCell(feature, cell);
            return [feature.name, toJSON(feature, raw), refusal(feature, raw)];
        }));
    }"""
    checked = 0
    for name in ("iris", "penguins", "diabetes", "gaps", "texts"):
        card = json.load(urllib.request.urlopen(f"{service}/v1/models/{name}"))
        example = {each["name"]: each.get("example") for each in card["features"]}
        for feature, cell, sentence in tab.page.evaluate(compare, [name, CELLS]):
            row = ", ".join(
                f"{json.dumps(key)}: {cell if key == feature else json.dumps(value)}" for key, value in example.items()
            )
            assert _refusal(f"{service}/v1/models/{name}:predict", row) == sentence, (name, feature, cell)
            checked += sentence is not None
    assert checked > 100


def _refusal(url: str, row: str) -> str | None:
    body = f'{{"instances": [{{{row}}}]}}'.encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request):
            return None
    except urllib.error.HTTPError as ex:
        return str(json.load(ex)["detail"])
