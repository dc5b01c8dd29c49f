"""The benchmarks' readers and reports; nothing is measured here."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bench import wrk
from bench.peers.results import Cell, Result, Run, figures, markdown
from bench.peers.show import picture
from bench.peers.systems import SYSTEMS, System
from bench.plot import plot
from bench.processes import Machine, Process, parse_stat, process_table, tree
from bench.report import number, table
from bench.stack import Sample
from bench.startup import by_package
from tests.conftest import ROOT

QUIET = Sample(rate=100.0, p50=1.0, p99=2.0, server=300.0, nginx=50.0, foreign=0.01)


def sample(rate: float, foreign: float = 0.0) -> Sample:
    """A load with this rate."""
    return Sample(rate=rate, p50=1.0, p99=2.0, server=300.0, nginx=50.0, foreign=foreign)


def run() -> Run:
    """A run of two systems; one of them did not start."""
    found = figures([QUIET])
    assert found is not None
    cells = [(Cell("lr", 1, 32), found), (Cell("rf", 1, 32), found)]
    good = Result("service", "this <service> & more", ready={"lr": 0.5}, memory={"lr": 80}, cells=cells)
    return Run("2030-01-01", "a machine", 5.0, 3, 0.12, [good, Result("flask", "Flask", notes=["not started: why"])])


def test_the_last_line_of_wrk_is_read() -> None:
    """The script's line stands after wrk's own summary."""
    line = '{"requests":100,"seconds":2.0,"p50":10.0,"p99":20.0,"longest":30.0,"bad_status":0,"broken":0}'

    found = wrk.parse(f"Running 2s test\n  Latency  1ms\n\n{line}\n")

    assert (found.rate, found.p99, found.clean) == (50.0, 20.0, True)


@pytest.mark.parametrize("fault", ['"bad_status":1,"broken":0', '"bad_status":0,"broken":1'])
def test_a_load_with_a_bad_answer_is_not_clean(fault: str) -> None:
    """A wrong status, or a broken connection."""
    found = wrk.parse('{"requests":100,"seconds":2.0,"p50":10.0,"p99":20.0,"longest":30.0,' + fault + "}")

    assert not found.clean


def test_the_name_of_a_process_may_hold_anything() -> None:
    """Also parentheses and blanks."""
    numbers = " ".join(str(number) for number in range(4, 44))

    process = parse_stat(f"7 (a) b (c) S 3 {numbers}")

    assert (process.pid, process.parent, process.session) == (7, 3, 5)


def test_a_tree_holds_what_left_the_session() -> None:
    """Children of children belong to it, too; other processes do not."""
    table = {
        pid: Process(pid, parent, session, 0.0) for pid, parent, session in ((1, 0, 1), (5, 1, 5), (6, 5, 6), (7, 6, 7))
    }

    assert tree(5, table) == {5, 6, 7}


def test_this_process_is_in_the_table() -> None:
    """It has CPU time, and the machine's CPU time is at least as large."""
    import os

    assert 0 < process_table()[os.getpid()].seconds <= Machine.now().total


def test_loads_beside_other_work_do_not_count() -> None:
    """They are dropped, and the report has their number."""
    found = figures([sample(10), sample(20), sample(30), sample(1, foreign=0.5)])

    assert found is not None
    assert (found.rate, found.loads, found.dropped) == (20.0, 3, 1)
    assert figures([sample(1, foreign=0.5)]) is None


def test_the_report_shows_every_system() -> None:
    """A system that did not start has its reason."""
    text = markdown(run())

    assert "**100**; 1.00 / 2.00 ms; 300 + 50.0 µs" in text
    assert "- Flask: not started: why" in text


def test_pictures_are_well_formed() -> None:
    """For any text in the names."""
    series = {"p50": [(1.0, 0.5), (1000.0, 20.0)], "p99": [(1.0, 0.5), (1000.0, 21.0)]}

    bars = ET.fromstring(picture(run()))  # noqa: S314 (it is ours)
    lines = ET.fromstring(plot("a < b", "x & y", "z", series))  # noqa: S314

    assert "this <service> & more" in {element.text for element in bars.iter()}
    assert "x & y" in {element.text for element in lines.iter()}


def test_numbers_are_as_long_as_they_mean() -> None:
    """They have three digits."""
    assert [number(value) for value in (0.1234, 12.345, 1234.5)] == ["0.12", "12.3", "1,234"]
    assert table(["a"], [["b"]]) == "| a |\n| --- |\n| b |"


def test_imports_are_summed_by_package() -> None:
    """Each module counts with its own time. The standard library is one package."""
    text = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       100 |        100 |   numpy._core\n"
        "import time:        50 |        150 | numpy\n"
        "import time:         5 |          5 |     json.decoder\n"
    )

    assert by_package(text) == {"numpy": 150, "standard library": 5}


BOOSTERS = {"fastapiboosters"}
"""The peers of bench/boosters.py that have an application of their own."""


def test_every_peer_has_its_application_and_exact_requirements() -> None:
    """So that a run can be repeated."""
    peers = [system for system in SYSTEMS if not system.own]

    applications = {path.parent.name for path in (ROOT / "bench" / "peers").glob("*/app.py")}
    assert applications == {peer.key for peer in peers if "service.app:main" not in peer.command} | BOOSTERS
    for file in (ROOT / "bench" / "peers").glob("*/requirements*.txt"):
        assert all("==" in line or "<" in line for line in file.read_text().split())
    for peer in peers:
        lines = (peer.directory / "requirements.txt").read_text().split()
        assert any(line.startswith(f"{peer.package}==") for line in lines)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.key)
def test_what_a_system_is_asked_and_answers_are_its_own(system: System) -> None:
    """All placeholders of the command and the path are filled in."""
    fields = {"bin": "bin", "app": "app", "port": 1, "model": "lr", "workers": 2}

    assert "{" not in system.command.format(**fields) + system.path.format(**fields)
    assert system.encode([[1.0, 2.0], [3.0, 4.0]]).keys() <= {"instances", "inputs", "outputs"}
