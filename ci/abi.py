#!/usr/bin/env python3
"""Holds the interfaces that others compile against to what the last release had.

    ci/abi.py            says what was changed, removed or moved since; additions pass
    ci/abi.py --record   a release: what is here now is what the next one is held to

The record is tests/data/previous: the headers and .pxd files themselves, so that an extension can
be compiled against them too. A raised GMEM_ABI_VERSION lifts the rules for
gmemx.h.
"""

import argparse
import functools
import re
import shutil
import sys
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "data" / "previous"
HEADERS = ("gmemx.h", "gmemx_plugin.h")


# ---- C -------------------------------------------------------------------------


def without_name(parameter):
    """The type of a parameter: its name may change."""
    if "(" in parameter or not re.search(r"\w[\s*]+\w+$", parameter):
        return parameter
    return re.sub(r"\w+$", "", parameter).strip()


@functools.cache
def c_interface(text):
    """Constants by enum, structs with their fields in order, and signatures of functions."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    code = re.sub(r"^\s*#(?:[^\n\\]|\\.)*$", " ", code, flags=re.MULTILINE | re.DOTALL)
    code = " ".join(code.split())
    enums = []
    for body in re.findall(r"\benum\b[^{;]*\{([^}]*)\}", code):
        found = re.findall(r"(\w+)\s*=\s*(-?\w+)", body)
        enums.append({name: int(value, 0) for name, value in found})
    structs = {
        name: [field.strip() for field in body.split(";") if field.strip()]
        for body, name in re.findall(r"typedef struct \w* ?\{([^}]*)\} (\w+)", code)
    }
    functions = {}
    for result, name, parameters in re.findall(
        r"((?:\w+[\s*]+)+)\b((?:gmem|plugin|rb)_\w+)\s*\(([^{};]*)\)\s*;", code
    ):
        types = ", ".join(without_name(part.strip()) for part in parameters.split(","))
        functions[name] = f"{' '.join(result.split())} ({types})"
    return {"enums": enums, "structs": structs, "functions": functions}


def compare_c(header, before, now):
    """Sentences about what a C program compiled earlier would stumble over."""
    wrong = []
    numbers = {name: number for enum in now["enums"] for name, number in enum.items()}
    for enum in before["enums"]:
        for name, number in enum.items():
            if name not in numbers:
                wrong.append(f"{header}: {name} = {number} was removed; keep it.")
            elif numbers[name] != number:
                wrong.append(
                    f"{header}: {name} was {number} and is now {numbers[name]}; "
                    "numbers are never changed."
                )
    for enum in now["enums"]:
        taken = {}
        for name, number in enum.items():
            if number in taken:
                wrong.append(
                    f"{header}: {name} = {number} has the number of {taken[number]}; "
                    "numbers are never used twice."
                )
            taken.setdefault(number, name)
    for name, signature in before["functions"].items():
        if name not in now["functions"]:
            wrong.append(f"{header}: the function {name} was removed; keep it.")
        elif now["functions"][name] != signature:
            wrong.append(
                f"{header}: {name} was `{signature}` and is now `{now['functions'][name]}`; "
                "add a function of another name instead."
            )
    for name, fields in before["structs"].items():
        if name not in now["structs"]:
            wrong.append(f"{header}: the struct {name} was removed; keep it.")
        elif now["structs"][name] != fields:
            wrong.append(
                f"{header}: the struct {name} was `{'; '.join(fields)}` and is now "
                f"`{'; '.join(now['structs'][name])}`; callers make room for it, so not even its "
                "end may change: add another struct."
            )
    return wrong


# ---- Cython --------------------------------------------------------------------


def logical_lines(text):
    """(indent, line) of a .pxd file, without comments and docstrings, each line whole."""
    text = re.sub(r'"""(.*?)"""', "", text, flags=re.DOTALL)
    whole, indent = "", 0
    for line in text.splitlines():
        line = line.partition("#")[0].rstrip()
        if not line.strip():
            continue
        if not whole:
            indent = len(line) - len(line.lstrip())
        whole = f"{whole} {line.strip()}".strip()
        if whole.count("(") == whole.count(")") and whole.count("[") == whole.count("]"):
            yield indent, re.sub(r"\( ", "(", re.sub(r",? \)", ")", whole))
            whole = ""


@functools.cache
def cython_interface(text):
    """What a .pxd file declares: classes with fields and methods, functions, and its cimports."""
    found = {"classes": {}, "functions": {}, "cimports": {}}
    current, function = None, False
    for indent, line in logical_lines(text):
        if match := re.match(r"from (\S+) cimport (.+)", line):
            names = re.findall(r"\w+", re.sub(r"\w+ as ", "", match[2]))
            found["cimports"].update(dict.fromkeys(names, match[1]))
        elif match := re.match(r"cdef class (\w+)\s*(.*?):$", line):
            current = found["classes"][match[1]] = {"base": match[2], "fields": [], "methods": []}
            function = False
        elif indent == 0:
            current, function = None, True
            if match := re.match(r"cdef (?:inline )?(.*?)(\w+)\((.*)$", line):
                found["functions"][match[2]] = line.removesuffix(":").replace("inline ", "")
        elif current is not None and not function:
            kind = "methods" if "(" in line and not line.startswith("@") else "fields"
            current[kind].append(line)
    return found


def compare_in_order(where, kind, cls, before, now):
    """The first place where a list is no longer what it was; longer it may be."""
    for place, (old, new) in enumerate(zip_longest(before, now[: len(before)]), 1):
        if old != new:
            is_now = f"is now `{new}`" if new else "is gone"
            return [
                f"{where}: {kind} {place} of {cls} was `{old}` and {is_now}; nothing of a class "
                "may go or move, and what is new goes to the end."
            ]
    return []


def compare_cython(name, before, now, functions):
    """Sentences about what an extension compiled earlier would stumble over."""
    wrong = []
    for cls, old in before["classes"].items():
        new = now["classes"].get(cls)
        if new is None:
            wrong.append(f"{name}: the class {cls} was removed; keep it.")
            continue
        if new["base"] != old["base"]:
            wrong.append(
                f"{name}: the base of {cls} was `{old['base']}` and is now `{new['base']}`; "
                "it may not change."
            )
        for kind in ("field", "method"):
            wrong += compare_in_order(name, kind, cls, old[f"{kind}s"], new[f"{kind}s"])
    if functions:
        for function, old in before["functions"].items():
            new = now["functions"].get(function)
            if new is None:
                wrong.append(f"{name}: the function {function} was removed; keep it.")
            elif new != old:
                wrong.append(
                    f"{name}: {function} was `{old}` and is now `{new}`; "
                    "add a function of another name instead."
                )
        for imported in before["cimports"].keys() - now["cimports"].keys() - now["classes"].keys():
            if imported[0].isupper():
                wrong.append(f"{name}: {imported} can no longer be cimported from it; keep it.")
    return wrong


# ---- the record ----------------------------------------------------------------


def cimported(folder):
    """The .pxd files that other extensions read: the public ones, and what these cimport."""
    waiting = [path.stem for path in folder.glob("*.pxd") if not path.stem.startswith("_")]
    reached = {"__init__"}
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            text = (folder / f"{name}.pxd").read_text(encoding="utf-8")
            sources = set(cython_interface(text)["cimports"].values())
            waiting += [source.removeprefix("gmemx.") for source in sources if "gmemx." in source]
    return sorted(reached)


def abi_version(enums):
    """The number of the C ABI that a header is of."""
    return next(enum["GMEM_ABI_VERSION"] for enum in enums if "GMEM_ABI_VERSION" in enum)


def compare(before, now):
    """Sentences about all that has changed between two folders with include/ and gmemx/."""

    def read(parse, path):
        return parse(path.read_text(encoding="utf-8")) if path.exists() else parse("")

    wrong = []
    for header in HEADERS:
        old, new = (read(c_interface, root / "include" / header) for root in (before, now))
        if header == "gmemx.h" and abi_version(old["enums"]) < abi_version(new["enums"]):
            continue
        wrong += compare_c(header, old, new)
    for path in sorted((before / "gmemx").glob("*.pxd")):
        # libgmemx.pxd says what gmemx.h says.
        if path.stem not in ("__init__", "libgmemx"):
            old, new = (read(cython_interface, file) for file in (path, now / "gmemx" / path.name))
            wrong += compare_cython(path.name, old, new, functions=path.name[0] != "_")
    return wrong


def record():
    """Make what is here the record."""
    version = re.search(
        r'^version = "(.+)"$', (ROOT / "rustlib" / "Cargo.toml").read_text(), re.MULTILINE
    )[1]
    shutil.rmtree(RECORD, ignore_errors=True)
    for folder in ("include", "gmemx"):
        (RECORD / folder).mkdir(parents=True)
    for header in HEADERS:
        shutil.copy(ROOT / "include" / header, RECORD / "include")
    for name in cimported(ROOT / "gmemx"):
        shutil.copy(ROOT / "gmemx" / f"{name}.pxd", RECORD / "gmemx")
    (RECORD / "VERSION").write_text(f"{version}\n", encoding="utf-8")
    print(f"recorded as {version}: {RECORD}")


def main():
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="what is here is what counts")
    if parser.parse_args().record:
        record()
        return 0
    wrong = compare(RECORD, ROOT)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
