"""No secret in any file that could be committed.

``detect-secrets scan`` reads only files that git knows already, so that a new file
with a secret passes. Here every file is named that git would take.

A line that only looks like a secret ends with ``pragma: allowlist secret``.
"""

import subprocess
import sys
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[1]
LINES = "detect_secrets.filters.regex.should_exclude_line"
VERIFICATION = "detect_secrets.filters.common.is_ignored_due_to_verification_policies"
# Hashes of packages are no secrets, and look like some.
HASHES = {"requirements.lock", "docker/build.txt", "docker/mlflow.txt"}
# Tests invent passwords and long texts; a token in the form of a real service's, or a
# private key, is not let through there either.
INVENTED = {
    "Base64 High Entropy String",
    "Basic Auth Credentials",
    "Hex High Entropy String",
    "Secret Keyword",
}
EXCLUDED_LINES = [
    # The commit of an action.
    r"uses: [\w./-]+@[0-9a-f]{40} # v",
    # The name of a Kubernetes Secret, and never what is in it.
    r"\b(secret|tlsSecret|postgresqlSecret)Name: \"?[a-z0-9-]+\"?\}*$",
    r"\b(existing|backendStore|dagsterPostgresql)Secret: \"?[a-z0-9-]+\"?$",
    # Whether there shall be one, as YAML or, in a template, as an INI file has it.
    r"Secret\W+(true|false)\W*$",
    # The id of a trace, as a log line shows it.
    r'"trace\.id": "[0-9a-f]{32}"',
]


def candidates(root: Path) -> list[str]:
    """Every file below `root` that is in git, or would be with the next commit.

    Raises
    ------
    RuntimeError
        If git names none, so that nothing would be scanned.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.split("\0") if (root / name).is_file()]
    wanted = [name for name in names if name not in HASHES]
    if not wanted:
        raise RuntimeError(f"git names no file below {root}")
    return wanted


def scan(root: Path) -> list[str]:
    """Where something looks like a secret: file, line and kind."""
    found = SecretsCollection(root=str(root))
    with default_settings() as settings:
        settings.filters[LINES] = {"pattern": EXCLUDED_LINES}
        # Asking the service that a token belongs to would send it there.
        settings.disable_filters(VERIFICATION)
        for name in candidates(root):
            found.scan_file(name)
    return sorted(
        f"{name}:{secret.line_number}: {secret.type}"
        for name, secret in found
        if not (name.startswith("ml_assets_tests/") and secret.type in INVENTED)
    )


def main() -> int:
    """Print the findings; how many there are."""
    found = scan(ROOT)
    print("\n".join(found) or "no secret found")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
