"""What is declared about types, held against the installed package.

    make types

mypy reads the examples as a strict project would; stubtest imports every module that has a stub
and compares the two. Modules of Python alone have their annotations where they are used.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gmemx"
UNTYPED = [
    "--disable-error-code=import-untyped",
    *("--untyped-calls-exclude=distributed", "--untyped-calls-exclude=dask"),
]
ALLOWED = ROOT / "ci" / "stubtest_allowed.txt"


def with_stub() -> list[str]:
    """The names of all modules that a stub tells of."""
    return sorted(f"gmemx.{path.stem}" for path in PACKAGE.glob("*.pyi"))


def without_stub() -> list[str]:
    """Public compiled modules that no stub tells of."""
    return [
        path.name
        for path in PACKAGE.glob("*.pyx")
        if not path.name.startswith("_") and not path.with_suffix(".pyi").exists()
    ]


def main() -> int:
    """Run the checks, all of them, and tell whether one failed."""
    missing = without_stub()
    for name in missing:
        print(f"gmemx/{name} has no .pyi", file=sys.stderr)
    examples = [str(path) for path in sorted((ROOT / "examples").glob("*.py"))]
    allowed = ["--allowlist", str(ALLOWED), "--ignore-unused-allowlist"]
    commands = (
        # What an example shows besides gmemx need not be typed.
        ["mypy", "--strict", *UNTYPED, *examples],
        ["mypy.stubtest", "--concise", *allowed, *with_stub()],
    )
    # Elsewhere: the checkout's gmemx has nothing compiled in it.
    with tempfile.TemporaryDirectory() as folder:
        failed = [
            subprocess.run([sys.executable, "-m", *command], cwd=folder).returncode
            for command in commands
        ]
    return int(bool(missing) or any(failed))


if __name__ == "__main__":
    sys.exit(main())
