"""The command line."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal as signal_module
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.commands import predict
from service.http.keys import read_keys
from service.repository.manifest import ONNX
from service.scoring.formats import FORMATS
from service.settings import Settings
from tests.conftest import ROOT
from tests.support.app import make_client
from tests.support.versions import copy_version, truncated

MODEL_FILES = (
    "a .joblib, .pkl, .pickle, .sav, .skops or .onnx file, or a booster's .ubj, .json, .txt or .cbm file"
)  # fmt: skip


@pytest.fixture
def root(iris_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models directory for one test, with iris/1; the settings name it."""
    shutil.copytree(iris_dir, tmp_path / "models")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_check_tells_what_serves(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command also succeeds."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "iris/1: ok, serves through onnx_onnxv1\n"


def test_check_fails_where_a_version_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if a lower version serves."""
    truncated(copy_version(root / "iris" / "1", root) / ONNX)

    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "iris/1: ok, serves through onnx_onnxv1\n"
        "iris/2: refused: model.onnx: its sha256 is not the one in manifest.json\n"
    )


@pytest.mark.parametrize("there", [True, False])
def test_check_fails_where_there_is_no_model(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if the directory is empty or missing."""
    root = tmp_path if there else tmp_path / "nowhere"
    monkeypatch.setenv("MODELS_DIR", str(root))

    assert main(["check"]) == 1
    assert capsys.readouterr().out == f"There is no model below {root}.\n"


def test_openapi_prints_the_document(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same document as GET /openapi.json, but indented."""
    client = make_client(Settings(models_dir=root))

    assert main(["openapi"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == client.simulate_get("/openapi.json").json
    assert len(printed.splitlines()) > 1000


@pytest.mark.parametrize("arguments", [[], ["chekc"]])
def test_an_unknown_command_is_told_the_known_ones(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the exit status that shells use for wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show iris", "add iris m.joblib", "remove iris", "predict iris x.csv"])
@pytest.mark.parametrize("version", ["latest", "0", "1.5"])
def test_a_version_is_a_whole_number(command: str, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is that of wrong options."""
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--version", version])

    assert caught.value.code == 2
    said = f"error: argument --version: it must be a whole number, 1 or more; '{version}' is not\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback."""
    monkeypatch.setenv("MAX_ROWS", "many")
    with pytest.raises(SystemExit) as caught:
        main(["check"])

    assert caught.value.code == 2
    assert "error: MAX_ROWS: " in capsys.readouterr().err


def test_it_runs_as_a_module(root: Path) -> None:
    """`python -m service check` also has the exit status."""

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service", "check"]
        return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)

    passed = run()
    assert (passed.returncode, passed.stdout, passed.stderr) == (0, "iris/1: ok, serves through onnx_onnxv1\n", "")
    (root / "iris" / "1" / ONNX).unlink()
    assert run().returncode == 1


COMMANDS = ("add", "check", "list", "show", "remove", "predict", "serve", "reload", "key", "openapi")
ANY = "|".join(FORMATS)
START = "python -m service serve"
IRIS = "id,sepal_length,sepal_width,petal_length,petal_width\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help has some sentences, and an example that the command's own parser accepts."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    _, _, example = capsys.readouterr().out.partition(f"example:\n  python -m service {command}")
    words = example.partition("\n")[0].partition(">")[0].split()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(f"service.commands.{command}.run", lambda settings, given: 0)
        assert main([command, *words]) == 0


def test_help_lists_the_commands_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    """It also says how to begin."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out

    assert re.findall(r"^    ([a-z]+) {2,}", text, re.MULTILINE) == list(COMMANDS)
    assert re.findall(r"^  (\d+) ", text, re.MULTILINE) == ["0", "1", "2", "3", "130"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the version of the package."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert re.fullmatch(r"model-server \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_list_shows_every_version(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As lines, and as JSON; a broken version has its reason."""
    copy_version(root / "iris" / "1", root)
    (root / "iris" / "2" / "manifest.json").write_text("{}")
    assert main(["list"]) == 0
    head, broken, good = capsys.readouterr().out.splitlines()
    assert main(["list", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)

    assert head.split()[:3] == ["NAME", "VERSION", "TASK"]
    assert broken.startswith("iris  2        broken      manifest.json is not a manifest: ")
    assert good.split()[:5] == ["iris", "1", "classifier", "onnx", "4"]
    assert (first["version"], first["broken"][:13]) == (2, "manifest.json")
    assert second.items() >= {"name": "iris", "version": 1, "runtime": "onnx", "features": 4}.items()


def test_show_tells_what_a_model_takes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also its outputs, its runtime and a request for it; as JSON without the golden rows."""
    assert main(["show", "iris"]) == 0
    text = capsys.readouterr().out
    assert main(["show", "iris", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)

    assert text.startswith(
        "iris/1: a classifier\nIt takes\n  sepal_length  float     a number, 4.3 to 7.9 in the sample"
    )
    assert "ms  ONNX Runtime" in text
    assert "curl http://127.0.0.1:8000/v1/models/iris:predict" in text
    assert (card["versions"], "golden" in card) == ([1], False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "none"], "show: There is no model none in {root}; its models: iris."),
        (["show", "iris", "--version", "7"], "show: iris has no version 7; it has 1."),
        (["predict", "none", "x.csv"], "predict: There is no model none in {root}; its models: iris."),
        (["predict", "iris", "x.csv"], "predict: x.csv cannot be read: No such file or directory."),
        (["predict", "iris", "x.doc"], f"predict: x.doc: its suffix names no format; add --format {ANY}."),
        (["remove", "iris"], "remove: To remove iris/1, add --yes: without a terminal nobody can confirm it."),
        (["key", "a b"],
         "key: A name has up to 63 letters, digits and ._-, and begins with a letter or a digit: 'a b' does not fit."),
        (["key", "a", "--expires", "soon"],
         "key: --expires: the expiry must be a date such as 2027-01-31, or a time in ISO 8601."),
        (["key", "a", "--expires", "2020-01-31"], "key: --expires 2020-01-31 has passed: give a day from today on."),
        (["add", "m", "{root}/fit.py"],
         f"add: fit.py: a model is {MODEL_FILES}."),
        (["reload", "--port", "1"], f"reload: No service of yours runs on port 1; `{START} --port 1` starts one."),
        (["add", "m", "{root}"],
         "add: {root} is a directory, but neither an MLflow model nor a skops model: give the model's file."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_in_one_sentence(
    arguments: list[str], said: str, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says how to go on, and there is no traceback."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (root / "fit.py").touch()
    assert main([each.format(root=root) for each in arguments]) == 1
    assert capsys.readouterr().err == f"python -m service {said.format(root=root)}\n"


def test_a_fault_of_ours_is_a_sentence_too(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--debug` shows the traceback."""

    def fail(*_: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("service.commands.list.run", fail)
    assert main(["list"]) == 1
    said = "python -m service list: A fault of this program: ZeroDivisionError: oops"
    assert capsys.readouterr().err == f"{said} (--debug shows where)\n"
    for arguments in (["--debug", "list"], ["list", "--debug"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith("Traceback")
        assert error.endswith(f"{said}\n")


def test_remove_takes_a_version_away(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a version it removes all, and the model's directory, unless the directory holds other files."""
    copy_version(root / "iris" / "1", root)
    assert main(["remove", "iris", "--version", "2", "--yes"]) == 0
    assert sorted(each.name for each in (root / "iris").iterdir() if each.is_dir()) == ["1"]
    (root / "iris" / "train.py").write_text("")
    assert main(["remove", "iris", "--yes"]) == 0
    assert [each.name for each in (root / "iris").iterdir()] == ["train.py"]
    assert "iris/1 removed" in capsys.readouterr().out


def test_predict_says_how_it_went_by_its_exit_status(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentences are on standard error, so that the output can go to a pipe."""
    (tmp_path / "in.csv").write_text(IRIS + "7,5.1,3.5,1.4,0.2\n")
    assert main(["predict", "iris", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), "--keep", "id"]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("7,Setosa,")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"1 row scored by iris/1 in [\d.]+ s, [\d,]+ rows/s\n", shown.err)

    (tmp_path / "in.csv").write_text(IRIS + "7,5.1,3.5,1.4,0.2\n8,x,3.5,1.4,0.2\n")
    assert main(["predict", "iris", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  line 3: sepal_length must be a number.",
        "1 row was refused and left out: see them all with --errors FILE",
    ]
    assert main(["predict", "iris", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), "--strict"]) == 1


def test_predict_reads_and_writes_pipes(root: Path) -> None:
    """`-` is standard input. Without -o the rows go to standard output."""
    command = [sys.executable, "-m", "service", "predict", "iris", "-", "--keep", ""]
    text = IRIS + "7,5.1,3.5,1.4,0.2\n"
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[0] == "prediction,probability_Setosa,probability_VersiColor,probability_Virginica"
    assert done.stdout.splitlines()[1].startswith("Setosa,")
    assert "\x1b" not in done.stderr


def test_predict_is_interrupted_with_its_own_exit_status(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence says so."""

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "run", interrupted)
    assert main(["predict", "iris", "in.csv"]) == 130
    assert capsys.readouterr().err == "\nInterrupted: nothing was written.\n"


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_signal_leaves_no_half_file(signal: str, root: Path, tmp_path: Path) -> None:
    """While several processes score rows."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    os.mkfifo(source)
    command = [sys.executable, "-m", "service", "predict", "iris", str(source), "-o", str(target), "--jobs", "2"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        with source.open("w") as pipe:
            pipe.write(IRIS + "7,5.1,3.5,1.4,0.2\n" * 100_000)
            pipe.flush()
            os.killpg(process.pid, getattr(signal_module, f"SIG{signal}"))
            assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "\nInterrupted: nothing was written.\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.csv", "models"]


@pytest.mark.parametrize(
    ("environ", "arguments", "said"),
    [
        ({"WEB_CONCURRENCY": "x"}, [], "error: WEB_CONCURRENCY: It must be a whole number, 1 or more."),
        ({}, ["--workers", "0"], "error: --workers: It must be a whole number, 1 or more."),
        ({}, ["--port", "70000"], "error: --port: It must be a port from 1 to 65535."),
    ],
)
def test_serve_names_a_setting_that_is_wrong(
    environ: dict[str, str], arguments: list[str], said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Gunicorn itself would end with a traceback."""
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main(["serve", *arguments])

    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_serve_says_that_a_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """At once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1

    assert f"Port {port} cannot be used (Address already in use): choose another port" in capsys.readouterr().err


def test_serve_becomes_gunicorn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the options of the command line. A relative models directory is below the caller's directory."""
    became: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *arguments: became.append(arguments))
    monkeypatch.chdir(root.parent)
    main(["serve", "--port", "18899", "--workers", "3", "--models", "models", "--", "--reload"])

    ((program, command, environ),) = became
    assert program == sys.executable
    assert command[1:] == [
        "-m",
        "gunicorn",
        "-c",
        str(ROOT / "conf" / "gunicorn.py"),
        "-b",
        "127.0.0.1:18899",
        "--reload",
    ]
    assert (environ["WEB_CONCURRENCY"], environ["MODELS_DIR"]) == ("3", str(root))


def test_a_key_is_shown_once_and_its_line_is_heeded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file holds only the digest of the key."""
    assert main(["key", "alice", "--expires", "2099-01-01", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (tmp_path / "keys").write_text(made["line"])

    ((digest, key),) = read_keys(tmp_path / "keys").items()
    assert (key.name, made["key"] in made["line"]) == ("alice", False)
    assert digest == sha256(made["key"].encode()).digest()


def test_models_are_those_of_the_service_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A relative path starts at the project's directory, as for the service."""
    monkeypatch.delenv("MODELS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0

    assert "iris" in capsys.readouterr().out


def test_commands_import_no_more_than_they_use() -> None:
    """Listing the commands imports no model library and no web framework."""
    code = "import sys, service.commands.run; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not {"falcon", "onnxruntime", "pandas", "pyarrow", "sklearn", "gunicorn"} & set(found.split())
