"""No file that git would take may have a secret, whether git knows it yet or not."""

import subprocess
from pathlib import Path

import pytest

from checks.secrets import candidates, scan

# Put together here, so that this file does not hold what it looks for.
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
PASSWORD = "pass" + 'word = "kT8#vQ2!zr9w"'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one file, which has no secret."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(".env\n")
    (tmp_path / "code.py").write_text("answer = 42\n")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    "text, kind",
    [(TOKEN, "GitHub Token"), (KEY, "Private Key"), (PASSWORD, "Secret Keyword")],
)
def test_a_secret_is_found_in_a_file_that_git_does_not_know(
    repository: Path, text: str, kind: str
) -> None:
    (repository / "new.py").write_text(f"\n{text}\n")
    assert f"new.py:2: {kind}" in scan(repository)


def test_a_secret_is_found_in_a_file_that_git_knows(repository: Path) -> None:
    (repository / "code.py").write_text(f"{TOKEN}\n")
    assert "code.py:1: GitHub Token" in scan(repository)


def test_what_git_ignores_and_what_is_gone_is_left_alone(repository: Path) -> None:
    (repository / ".env").write_text(f"{TOKEN}\n")
    (repository / "code.py").unlink()
    assert candidates(repository) == [".gitignore"]
    assert scan(repository) == []


@pytest.mark.parametrize(
    "line, found",
    [
        ("existingSecret: mlflow-auth", False),
        ("tls: {enabled: true, secretName: dagster-tls}", False),
        ("clientSecret: Q4xZ-81lm-0pTz", True),
        ("secret: mlflow-auth", True),
    ],
)
def test_the_name_of_a_secret_is_none_and_its_content_is(
    repository: Path, line: str, found: bool
) -> None:
    (repository / "values.yaml").write_text(f"{line}\n")
    assert bool(scan(repository)) == found


@pytest.mark.parametrize("text, found", [(PASSWORD, False), (TOKEN, True), (KEY, True)])
def test_tests_may_invent_passwords_but_hold_no_token_and_no_key(
    repository: Path, text: str, found: bool
) -> None:
    (repository / "ml_assets_tests").mkdir()
    (repository / "ml_assets_tests" / "test_x.py").write_text(f"{text}\n")
    assert bool(scan(repository)) == found


def test_a_line_can_be_accepted(repository: Path) -> None:
    (repository / "new.py").write_text(f"{TOKEN}  # pragma: allowlist secret\n")
    assert scan(repository) == []


def test_a_directory_without_files_is_not_a_clean_one(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    with pytest.raises(RuntimeError, match="git names no file"):
        scan(tmp_path)
