"""Files scored without a server get the service's answers, for every format, chunk size and number of processes."""

from __future__ import annotations

import io
import json
import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import msgspec
import numpy as np
import pandas as pd
import pytest
from falcon.testing import TestClient

from service.repository.model import Model
from service.scoring.errors import ScoringError
from service.scoring.formats import Format, format_of
from service.scoring.score import Summary, Task, score
from tests.support.children import children
from tests.support.rows import Row, csv_of, rows_of

ROWS = 331
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet", "arrow")


def write(path: Path, rows: list[Row]) -> Path:
    """Write rows in the format of the path's suffix."""
    match format_of(str(path), None):
        case "csv":
            path.write_bytes(csv_of(rows))
        case "jsonl":
            path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        case "parquet":
            pd.DataFrame(rows).to_parquet(path, index=False)
        case "arrow":
            pd.DataFrame(rows).to_feather(path)
    return path


def read(path: Path) -> pd.DataFrame:
    """Read a file in the format of its suffix."""
    match format_of(str(path), None):
        case "csv":
            return pd.read_csv(path)
        case "jsonl":
            return pd.DataFrame(map(json.loads, path.read_text().splitlines()))
        case "parquet":
            return pd.read_parquet(path)
        case _:
            return pd.read_feather(path)


def run(model: Model, source: Path, target: Path, **options: Any) -> Summary:
    """Score one file into another."""
    forms: dict[str, Any] = {
        "input_format": format_of(str(source), None),
        "output_format": format_of(str(target), None),
    }
    return score(model, Task(input=str(source), output=str(target), **forms, **options), lambda progress: None)


def served(client: TestClient, rows: list[Row]) -> list[dict[str, Any]]:
    """The service's answer to each row; all rows are sent in one body of CSV."""
    headers = {"Content-Type": "text/csv", "Accept": "application/jsonlines"}
    answer = client.simulate_post("/invocations", body=csv_of(rows), headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def columns(answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The service's answers as the columns of a scored file."""
    found: dict[str, list[Any]] = {}
    for answer in answers:
        for name, value in _flat(answer):
            found.setdefault(name, []).append(value)
    return found


def _flat(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs = []
    for member, value in answer.items():
        name = {"prediction": "prediction", "probabilities": "probability", "scores": "score"}[member]
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        pairs += [(name, value)] if items is None else [(f"{name}_{key}", each) for key, each in items]
    return pairs


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_answers_are_those_of_the_service(
    form: Format, jobs: int, model: Model, client: falcon.testing.TestClient, tmp_path: Path
) -> None:
    """Bit by bit, if the service gets the same rows together."""
    rows = rows_of(model.signature, ROWS)
    source, target = write(tmp_path / f"in.{form}", rows), tmp_path / f"out.{form}"
    summary = run(model, source, target, chunk_rows=ROWS, jobs=jobs)

    scored = read(target)
    assert (summary.rows, summary.refused) == (ROWS, 0)
    assert list(scored.columns[: len(model.signature.names)]) == list(model.signature.names)
    for name, values in columns(served(client, rows)).items():
        assert scored[name].tolist() == values


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
def test_the_size_of_chunks_does_not_matter(chunk_rows: int, model: Model, tmp_path: Path) -> None:
    """Labels are the same, and numbers agree within the precision of the model's arithmetic."""
    source = write(tmp_path / "in.csv", rows_of(model.signature, ROWS))
    run(model, source, tmp_path / "whole.csv", chunk_rows=ROWS)
    run(model, source, tmp_path / "parts.csv", chunk_rows=chunk_rows, jobs=2)

    whole, parts = read(tmp_path / "whole.csv"), read(tmp_path / "parts.csv")
    single = min(each.max_magnitude for each in model.signature.features) < 1e39
    for name in whole.columns:
        if whole[name].dtype.kind == "f":
            tolerance = 1e-6 if single else 1e-12
            np.testing.assert_allclose(parts[name], whole[name], rtol=tolerance, atol=tolerance)
        else:
            assert parts[name].equals(whole[name])


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_becomes_every_other(source: Format, target: Format, six: Path, tmp_path: Path) -> None:
    """With the same predictions, and with a column `id` that is kept."""
    model = load(six, "penguins")
    rows = [{"id": f"row {i}", **row} for i, row in enumerate(rows_of(model.signature, 50))]
    run(model, write(tmp_path / f"in.{source}", rows), tmp_path / f"out.{target}", keep=("id", "island"))
    run(model, write(tmp_path / "in.csv", rows), tmp_path / "expected.csv")

    scored, expected = read(tmp_path / f"out.{target}"), read(tmp_path / "expected.csv")
    predicted = [name for name in expected.columns if name.startswith("pr")]
    assert list(scored.columns) == ["id", "island", *predicted]
    for name in ("id", "prediction", "probability_Adelie"):
        assert scored[name].tolist() == expected[name].tolist()


def load(root: Path, name: str) -> Model:
    """Load a model without a server."""
    from service.codecs.row_decoders import RowDecoders
    from service.repository.loader import Loader
    from service.settings import Settings

    return Loader(Settings(), RowDecoders)(root / name / "1")


@pytest.fixture(scope="module")
def iris(six: Path) -> Model:
    """The iris model."""
    return load(six, "iris")


IRIS = "sepal_length,sepal_width,petal_length,petal_width\n"


def scored_text(model: Model, directory: Path, text: str, **options: Any) -> tuple[str, list[dict[str, Any]]]:
    """The scored file of some CSV, and the list of refused rows."""
    (directory / "in.csv").write_text(text, newline="")
    errors = directory / "errors.jsonl"
    run(model, directory / "in.csv", directory / "out.csv", errors=str(errors), **options)
    return (directory / "out.csv").read_text(), [json.loads(line) for line in errors.read_text().splitlines()]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_refused_rows_are_told_and_the_others_scored(jobs: int, chunk_rows: int, iris: Model, tmp_path: Path) -> None:
    """By the line in the file, for every size of chunks."""
    lines = ["5.1,3.5,1.4,0.2", "5.1,x,1.4,0.2", "5.1,3.5", "", "1e400,1,1,1", "5.1,,1.4,0.2", "6.2,3.4,5.4,2.3"]
    text, errors = scored_text(iris, tmp_path, IRIS + "\n".join(lines), jobs=jobs, chunk_rows=chunk_rows)

    assert [line.split(",")[4] for line in text.splitlines()] == ["prediction", "Setosa", "Virginica"]
    assert errors == [
        {"line": 3, "pointer": "/sepal_width", "detail": "sepal_width must be a number."},
        {"line": 4, "pointer": "", "detail": "The row has 2 values, but needs 4."},
        {
            "line": 6,
            "pointer": "/sepal_length",
            "detail": "sepal_length is too large for this model: it computes with numbers up to 1e+307.",
        },
        {"line": 7, "pointer": "/sepal_width", "detail": "sepal_width must be a number, not null."},
    ]


def test_lines_are_counted_over_quoted_cells(iris: Model, tmp_path: Path) -> None:
    """A cell may hold commas, quotation marks and line ends, and is kept unchanged."""
    rows = ['"one, two\nthree",5.1,3.5,1.4,0.2', '"say ""hi""",x,3.5,1.4,0.2', "plain,6.2,3.4,5.4,2.3"]
    text, errors = scored_text(iris, tmp_path, "note," + IRIS + "\n".join(rows) + "\n", chunk_rows=1, keep=("note",))

    assert [(each["line"], each["pointer"]) for each in errors] == [(4, "/sepal_length")]
    found = pd.read_csv(io.StringIO(text))
    assert found["note"].tolist() == ["one, two\nthree", "plain"]
    assert found["prediction"].tolist() == ["Setosa", "Virginica"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_lines_end_as_they_do_anywhere(end: str, start: str, iris: Model, tmp_path: Path) -> None:
    """Line ends of Unix, Windows and old Macs; with and without a byte order mark."""
    text, errors = scored_text(iris, tmp_path, start + (IRIS + "5.1,3.5,1.4,0.2\n6.2,3.4,5.4,2.3\n").replace("\n", end))

    assert errors == []
    assert [line.split(",")[4] for line in text.splitlines()] == ["prediction", "Setosa", "Virginica"]


def test_columns_are_found_by_name_or_position(iris: Model, tmp_path: Path) -> None:
    """Other columns may be beside them. Without a header the columns are the features in their order."""
    turned = "petal_width,id,petal_length,sepal_width,sepal_length\n0.2,17,1.4,3.5,5.1\n"
    by_name, _ = scored_text(iris, tmp_path, turned)
    by_position, _ = scored_text(iris, tmp_path, "5.1,3.5,1.4,0.2\n")

    assert by_name.splitlines()[1].startswith("0.2,17,1.4,3.5,5.1,Setosa,")
    assert by_name.splitlines()[1].partition("Setosa")[2] == by_position.splitlines()[1].partition("Setosa")[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty."),
        ("a,b,c,d,e\n1,2,3,4,5\n", "The first line is no header"),
        (IRIS.replace("petal_width", "petalwidth") + "1,1,1,1\n", "it has no column petal_width"),
        (IRIS, "has no rows"),
        (IRIS + "a,b,c,d\n", "The model refuses each of the 1 rows, so nothing was written. Line 2: sepal_length must"),
        (IRIS + '1,1,1,"1\n', "a quoted field is not closed"),
        ("prediction," + IRIS + "x,1,1,1,1\n", "The input has a column prediction already"),
    ],
)
def test_a_file_that_cannot_be_scored_is_told_in_a_sentence(text: str, said: str, iris: Model, tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(ScoringError, match=said):
        scored_text(iris, tmp_path, text)
    assert not (tmp_path / "out.csv").exists()
    assert not list(tmp_path.glob(".*"))


def test_strict_ends_at_the_first_refused_row(iris: Model, tmp_path: Path) -> None:
    """No file is left."""
    with pytest.raises(ScoringError, match=r"Line 3: sepal_length must be a number\. Nothing was written"):
        scored_text(iris, tmp_path, IRIS + "1,1,1,1\nx,1,1,1\n", strict=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.csv"]


def test_json_lines_may_have_other_members(iris: Model, tmp_path: Path) -> None:
    """The other members are kept. An object with a repeated key is refused, at every depth."""
    whole = {"id": 7, "sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    rest = '"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'
    lines = [
        json.dumps(whole),
        '{"id":1,"sepal_length":5.1,"sepal_length":5.1,' + rest,
        "[6.2,3.4,5.4,2.3]",
        "nonsense",
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    run(iris, tmp_path / "in.jsonl", tmp_path / "out.jsonl", errors=str(tmp_path / "errors.jsonl"))

    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert first.items() >= {**whole, "prediction": "Setosa"}.items()
    assert second.items() >= {"sepal_length": 6.2, "prediction": "Virginica"}.items()
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert [(each["line"], each["pointer"]) for each in errors] == [(2, "/sepal_length"), (4, "")]


def test_arithmetic_that_overflows_refuses_that_row_alone(six: Path, tmp_path: Path) -> None:
    """The model takes the numbers, but cannot compute an answer."""
    model = load(six, "targets")
    (tmp_path / "in.csv").write_text("a,b,c\n1,2,3\n1.7e308,1.7e308,1\n4,5,6\n")
    summary = run(model, tmp_path / "in.csv", tmp_path / "out.csv")

    assert (summary.rows, summary.refused, summary.first[0].number) == (2, 1, 3)


def test_rows_of_parquet_are_counted_from_one(iris: Model, tmp_path: Path) -> None:
    """Parquet has no lines, so rows are named by number."""
    frame = pd.DataFrame(rows_of(iris.signature, 10))
    frame.loc[6, "petal_width"] = np.nan
    frame.to_parquet(tmp_path / "in.parquet")
    summary = run(iris, tmp_path / "in.parquet", tmp_path / "out.parquet", chunk_rows=4)

    (refusal,) = summary.first
    assert (refusal.number, refusal.detail) == (7, "petal_width must be a number, not null.")
    assert "__index_level_0__" not in pd.read_parquet(tmp_path / "out.parquet").columns


def test_a_column_of_another_type_is_told_before_anything_is_scored(iris: Model, tmp_path: Path) -> None:
    """The sentence names the type of the column."""
    frame = pd.DataFrame(rows_of(iris.signature, 10)).astype({"petal_width": str})
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(ScoringError, match=r"petal_width must be a number; its column is (large_)?string"):
        run(iris, tmp_path / "in.parquet", tmp_path / "out.parquet")


def interrupted(pids: list[int]) -> Callable[[object], None]:
    """A report of progress that sends Ctrl-C at the second chunk."""
    calls: list[object] = []
    before = children()

    def report(progress: object) -> None:
        calls.append(progress)
        if len(calls) == 2:
            pids.extend(children() - before)
            signal.raise_signal(signal.SIGINT)

    return report


@pytest.fixture
def _heeds_interrupts() -> Iterator[None]:
    """A background process of a shell ignores Ctrl-C, so the test sets Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.usefixtures("_heeds_interrupts")
def test_an_interrupt_leaves_no_half_file_and_no_process(form: Format, iris: Model, tmp_path: Path) -> None:
    """An earlier file stays."""
    source = write(tmp_path / f"in.{form}", rows_of(iris.signature, 100))
    target = tmp_path / f"out.{form}"
    target.write_text("before")
    task = Task(
        input=str(source), output=str(target), input_format=form, output_format=form, chunk_rows=10, jobs=2,
        errors=str(tmp_path / "errors.jsonl"),
    )  # fmt: skip
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        score(iris, task, interrupted(pids))

    assert sorted(each.name for each in tmp_path.iterdir()) == [f"in.{form}", f"out.{form}"]
    assert target.read_text() == "before"
    assert pids
    assert not set(pids) & children()


def test_a_process_that_dies_is_told_in_a_sentence(iris: Model, tmp_path: Path) -> None:
    """Example: the kernel kills a process because memory is short."""
    source = write(tmp_path / "in.csv", rows_of(iris.signature, 1000))
    before = children()

    def report(progress: object) -> None:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)

    task = Task(
        input=str(source), output=str(tmp_path / "out.csv"), input_format="csv", output_format="csv",
        chunk_rows=10, jobs=2,
    )  # fmt: skip
    with pytest.raises(ScoringError, match="died"):
        score(iris, task, report)


def test_memory_does_not_grow_with_the_file(iris: Model, tmp_path: Path) -> None:
    """If there are four times as many rows, there are more chunks, each of the same size."""
    peaks = []
    for count in (100_000, 400_000):
        (tmp_path / "in.csv").write_text(IRIS + "5.1,3.5,1.4,0.2\n" * count)
        tracemalloc.start()
        run(iris, tmp_path / "in.csv", tmp_path / "out.csv", chunk_rows=5_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 1_000_000
