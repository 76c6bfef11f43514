"""Safety over the lock file, and whether it scanned all of it. Needs a network.

A scanner that skips what it cannot resolve ends with success: pip-audit does so for
every package that its index does not know. So the report is read, and each pinned
package that it does not name is a failure.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from checks.audit import ROOT, read_pins

VERSION = "3.8.1"
LOCK = ROOT / "requirements.lock"
REPORT = ROOT / "reports" / "safety.json"
UVX = Path(sys.executable).with_name("uvx")


def unscanned(lock: str, report: dict[str, Any]) -> list[str]:
    """Packages that are pinned for any platform, and that the report does not name."""
    scanned = {canonicalize_name(name) for name in report.get("scanned_packages", {})}
    return sorted(set(read_pins(lock)) - scanned)


def found(report: dict[str, Any]) -> list[str]:
    """One line for each published fault that nobody accepted."""
    return [
        f"{item['package_name']} {item['analyzed_version']}: "
        f"{item.get('CVE') or item['vulnerability_id']}: {item['advisory']}"
        for item in report.get("vulnerabilities", [])
    ]


def main(options: list[str]) -> int:
    """Run Safety, keep its report, and print what it found or left out.

    Parameters
    ----------
    options
        Handed on to Safety; ``--db DIRECTORY`` names a copy of its database.
    """
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    done = subprocess.run(
        [str(UVX), "--from", f"safety=={VERSION}", "safety", "check"]
        + ["--file", str(LOCK), "--save-json", str(REPORT), *options],
        check=False,
    )
    if not REPORT.exists():
        print(f"Safety ended with {done.returncode} and without a report")
        return 1
    report = json.loads(REPORT.read_text())
    problems = found(report)
    problems += [
        f"{name} was not looked at" for name in unscanned(LOCK.read_text(), report)
    ]
    print("\n".join(problems) or "Safety knows no fault of what is pinned")
    return int(bool(problems or done.returncode))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
