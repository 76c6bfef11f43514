"""Every benchmark, one after the other: ``python -m benchmarks`` or ``make bench``."""

import subprocess
import sys

NAMES = (
    "serving",
    "boosters",
    "floor",
    "access",
    "cliffs",
    "fairness",
    "log",
    "metrics",
    "exporter",
    "kernel",
    "bulk",
    "pipeline",
    "location",
    "validation",
    "lineage",
    "decisions",
    "drift",
    "gate_rates",
    "search",
)


def main() -> int:
    """Run each in a process of its own; the number of those that failed."""
    failed = []
    for name in sys.argv[1:] or NAMES:
        print(f"\n## {name}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nwithout success or below a floor: {', '.join(failed)}", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
