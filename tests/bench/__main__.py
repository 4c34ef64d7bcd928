"""Runs the benchmarks one after the other: `make bench`. Each can be run by itself, with options: see its `--help`."""

import subprocess
import sys

BENCHMARKS = ("bench_matching", "bench_templates", "bench_latency", "bench_retries", "bench_isolation")


def main() -> int:
    """0 when every benchmark ran."""
    return max(
        subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode for name in BENCHMARKS
    )


if __name__ == "__main__":
    sys.exit(main())
