"""The command line answers quickly, and knows what each command needs."""

import subprocess
import sys

import pytest

from ml_assets.cli import COMMANDS, RENAMED
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.cli import invoke

HEAVY = {"dagster", "mlflow", "sklearn", "pandas", "great_expectations", "numpy"}


def imported_by(statement: str) -> set[str]:
    """The packages that a new interpreter has loaded after `statement`."""
    code = f"import sys\n{statement}\nprint('loaded', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    _, *names = done.stdout.splitlines()[-1].split()
    return {name.partition(".")[0] for name in names}


def run(*arguments: str) -> str:
    """A statement that runs ``ml-assets`` to its end."""
    return (
        "from ml_assets.cli import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)"
    )


def test_help_waits_for_no_library() -> None:
    found = imported_by(run("--help"))
    assert "click" in found
    assert not found & {*HEAVY, "pydantic", "rich"}


@pytest.mark.parametrize("module", ["serve", "models", "versions", "doctor", "demo"])
def test_a_light_command_imports_nothing_heavy(module: str) -> None:
    assert not imported_by(f"import ml_assets.cli.{module}") & {*HEAVY, "rich"}


def test_the_server_is_served_without_dagster_mlflow_or_scikit_learn() -> None:
    found = imported_by("import ml_assets.cli.serve, ml_assets.serving.process.server")
    assert not found & {"dagster", "mlflow", "sklearn", "great_expectations", "rich"}


def test_what_a_program_reads_is_printed_without_rich() -> None:
    assert "rich" not in imported_by(run("models"))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example_and_its_exit_codes(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"ml-assets {name}" in result.output
    assert "Exit codes" in result.output


def test_the_list_of_commands_names_all() -> None:
    result = invoke("--help")
    assert all(name in result.output for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage() -> None:
    result = invoke("trian")
    assert result.exit_code == 2
    assert "trian" in result.output


def test_serve_has_an_option_and_a_variable_for_every_setting() -> None:
    output = invoke("serve", "--help").output
    for name in ServerSettings.__struct_fields__:
        assert f"--{name.replace('_', '-')}" in output
        assert f"ML_ASSETS_{name.upper()}" in "".join(output.split())


def test_serve_refuses_a_wrong_setting_by_name() -> None:
    result = invoke("serve", "--workers", "0")
    assert result.exit_code == 2
    assert "workers" in result.output


def test_serve_gives_its_options_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ServerSettings] = []
    monkeypatch.setattr(
        "ml_assets.serving.process.server.serve", lambda given: seen.append(given) or 3
    )
    monkeypatch.setenv("ML_ASSETS_MAX_ROWS", "50")
    result = invoke("serve", "--port", "0", "--poll-seconds", "0.5")
    assert result.exit_code == 3
    assert (seen[0].port, seen[0].poll_seconds, seen[0].max_rows) == (0, 0.5, 50)


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_a_former_name_answers_with_the_present_one(old: str, new: str) -> None:
    result = invoke(old, "model", "version")
    assert result.exit_code == 2
    assert f"`{old}` is now called `{new}`" in result.output
    assert f"\n  {old} " not in invoke("--help").output
