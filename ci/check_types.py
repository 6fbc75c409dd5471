"""What is declared about types, held against the installed package.

    make types

mypy reads the examples as a strict project would; stubtest imports every public module and
compares it with its stub or its annotations. Private modules are looked at only where public
ones give something of theirs.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gmemx"
ALLOWED = ROOT / "ci" / "stubtest_allowed.txt"


def public_modules() -> list[str]:
    """The names of all modules that are imported by users, without the command's."""
    files = {path.stem for suffix in ("py", "pyx") for path in PACKAGE.glob(f"*.{suffix}")}
    return sorted(f"gmemx.{name}" for name in files if not name.startswith("_"))


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
        ["mypy", "--strict", *examples],
        ["mypy.stubtest", "--concise", *allowed, *public_modules()],
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
