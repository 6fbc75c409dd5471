#!/usr/bin/env python3
"""Builds the source distribution, from it a wheel for each CPython here, and tests what was built.

    ci/wheels.py                     everything: the whole test suite against each wheel
    ci/wheels.py --tests smoke       the downstream builds and the C contract only
    ci/wheels.py --python 3.13       one interpreter, by version or path; may be repeated

On Linux the wheels are linked for an old glibc by zig, which has the symbol tables of all of
them, so no container is needed. Everything is left in wheelhouse/.
"""

import argparse
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "wheels"
WHEELHOUSE = ROOT / "wheelhouse"
OLDEST = (3, 10)
MACHINE = platform.machine()
# What every other extension needs: the tests that build against the wheel, or read its symbols.
SMOKE = [
    *("test_downstream.py", "test_cython.py", "test_c_abi.py", "test_abi_record.py"),
    *("test_requirements.py", "test_generators.py", "test_tensor_making.py", "test_pool_fork.py"),
]


def run(*command, **options):
    """A command that must succeed, shown."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, **options)


# ---- which interpreters --------------------------------------------------------


def identity(python):
    """Version and where it really is, of a CPython; None of anything else."""
    ask = (
        "import platform, sys, sysconfig; print(platform.python_implementation(), "
        "sys.version_info[0], sys.version_info[1], "
        "'t' if sysconfig.get_config_var('Py_GIL_DISABLED') else '-', "
        "sysconfig.get_path('include'), sep='|')"
    )
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    if done.returncode != 0:
        return None
    name, major, minor, threads, include = done.stdout.strip().split("|")
    # Without its headers nothing can be compiled for it.
    if name != "CPython" or not (Path(include) / "Python.h").is_file():
        return None
    return (int(major), int(minor)), threads == "t"


def interpreters():
    """Every CPython from 3.10 up, one of each version: (name, path)."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = sorted(pyenv.glob("*/bin/python"))
    for folder in os.get_exec_path():
        candidates += sorted(Path(folder).glob("python3*"))
    found = {}
    for python in candidates:
        if re.fullmatch(r"python(3(\.\d+t?)?)?", python.name) and "shims" not in python.parts:
            known = identity(python)
            if known and known[0] >= OLDEST:
                found.setdefault(known, python)
    return {f"{v[0]}.{v[1]}{'t' * t}": path for (v, t), path in sorted(found.items())}


def chosen(wanted):
    """The interpreters asked for, or all there are."""
    here = interpreters()
    if not wanted:
        return here
    result = {}
    for name in wanted:
        if name in here:
            result[name] = here[name]
        elif (known := identity(name)) and known[0] >= OLDEST:
            result[f"{known[0][0]}.{known[0][1]}{'t' * known[1]}"] = Path(name)
        else:
            sys.exit(f"no CPython {name} with its headers was found: there are {', '.join(here)}.")
    return result


# ---- building ------------------------------------------------------------------


def environment(folder, python):
    """A new virtual environment; its python."""
    shutil.rmtree(folder, ignore_errors=True)
    run(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    run(inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    return inside


def tools():
    """An environment with what builds, repairs and examines wheels."""
    python = environment(WORK / "tools", sys.executable)
    run(python, "-m", "pip", "install", "--quiet", "--group", f"{ROOT}/pyproject.toml:wheels")
    return python


def sdist(python):
    """The source distribution, unpacked in one place, so that cargo sees one project."""
    out = WORK / "sdist"
    shutil.rmtree(out, ignore_errors=True)
    run(python, "-m", "build", "--sdist", "--outdir", out, ROOT)
    (archive,) = out.glob("*.tar.gz")
    WHEELHOUSE.mkdir(exist_ok=True)
    shutil.copy(archive, WHEELHOUSE)
    shutil.rmtree(WORK / "unpacked", ignore_errors=True)
    shutil.unpack_archive(archive, WORK / "unpacked")
    source = WORK / "source"
    shutil.rmtree(source, ignore_errors=True)
    (WORK / "unpacked" / archive.name.removesuffix(".tar.gz")).rename(source)
    missing = [name for name in known_to_git() if not (source / name).exists()]
    if missing:
        sys.exit(f"MANIFEST.in leaves out of the source distribution: {', '.join(missing)}.")
    return source


def known_to_git():
    """The files of a checkout, without those that are about the checkout itself; else none."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    return [name for name in names if name and not name.startswith((".git", ".pre-commit"))]


def compilers(python, glibc):
    """Variables that make C, Cython modules and Rust link for a glibc, through zig."""
    target = f"{MACHINE}-linux-gnu.{glibc}"
    wrapper = WORK / f"cc-{glibc}"
    # Undefined behaviour is not trapped in what ships, as zig does when it debugs.
    wrapper.write_text(
        f'#!/bin/sh\nexec "{python}" -m ziglang cc -target {target} -fno-sanitize=undefined "$@"\n'
    )
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    linker = f"CARGO_TARGET_{MACHINE.upper()}_UNKNOWN_LINUX_GNU_LINKER"
    return {
        "CC": str(wrapper),
        "LDSHARED": f"{wrapper} -shared -Wl,-s",
        linker: str(wrapper),
        # One library for every Python; the folder is apart from the source, so it outlives it.
        "CARGO_TARGET_DIR": str(WORK / "target"),
    }


def build(name, python, source, tools_python, glibc):
    """A wheel for one interpreter, in an isolated environment, repaired; its path."""
    out = WORK / f"wheel-{name}"
    shutil.rmtree(out, ignore_errors=True)
    builder = environment(WORK / f"builder-{name}", python)
    linux = sys.platform == "linux"
    variables = compilers(tools_python, glibc) if linux else {}
    run(
        *(builder, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", out, source),
        env=os.environ | variables,
    )
    (wheel,) = out.glob("*.whl")
    if linux:
        tag = f"manylinux_{glibc.replace('.', '_')}_{MACHINE}"
        path = f"{tools_python.parent}{os.pathsep}{os.environ['PATH']}"
        run(
            *(tools_python, "-m", "auditwheel", "repair", "--plat", tag),
            *("--wheel-dir", out / "repaired", wheel),
            env=os.environ | {"PATH": path},
        )
        (wheel,) = (out / "repaired").glob("*.whl")
        run(tools_python, "-m", "auditwheel", "show", wheel, env=os.environ | {"PATH": path})
    return Path(shutil.copy(wheel, WHEELHOUSE))


# ---- testing -------------------------------------------------------------------


def test(name, python, wheel, source, tests):
    """Install the wheel where no compiler is to be found, look at it, and run the tests."""
    inside = environment(WORK / f"clean-{name}", python)
    bare = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "CC")}
    bare["PATH"] = str(inside.parent)
    pip = (inside, "-m", "pip", "install", "--quiet", "--only-binary", ":all:")
    run(*pip, f"{wheel}[cli,plot]", env=bare, cwd=WORK)
    run(inside, source / "ci" / "import_time.py", env=bare, cwd=WORK)
    if tests == "none":
        return
    groups = [f"--group={source}/pyproject.toml:{group}" for group in ("test", "readers")]
    run(*pip, *groups, env=bare, cwd=WORK)
    which = [source / "tests" / file for file in SMOKE] if tests == "smoke" else []
    path = f"{inside.parent}{os.pathsep}{os.environ['PATH']}"
    # The tests are the source distribution's own, and find what to compile beside them.
    run(
        *(inside.parent / "pytest", "-q", "-p", "no:cacheprovider"),
        *("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", *which),
        cwd=source,
        env=os.environ | {"PATH": path},
    )


def main():
    """Build and test what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", choices=["all", "smoke", "none"], default="all")
    parser.add_argument("--python", action="append", help="3.13, 3.13t or a path")
    parser.add_argument("--glibc", default="2.17", help="the oldest glibc that will do")
    args = parser.parse_args()
    pythons = chosen(args.python)
    print("for", ", ".join(f"{name} ({path})" for name, path in pythons.items()), flush=True)
    WORK.mkdir(parents=True, exist_ok=True)
    tools_python = tools()
    source = sdist(tools_python)
    wheels = {
        name: build(name, python, source, tools_python, args.glibc)
        for name, python in pythons.items()
    }
    run(tools_python, ROOT / "ci" / "check_wheel.py", "--glibc", args.glibc, *wheels.values())
    for name, wheel in wheels.items():
        test(name, pythons[name], wheel, source, args.tests)
    print("built and tested:", *(f"  {wheel}" for wheel in wheels.values()), sep="\n")


if __name__ == "__main__":
    main()
