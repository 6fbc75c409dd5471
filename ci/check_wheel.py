#!/usr/bin/env python3
"""Looks into built Linux wheels: files, size, the symbols they export and those they need.

ci/check_wheel.py [--glibc 2.17] wheelhouse/*.whl

Needs pyelftools, of the dependency group "wheels".
"""

import argparse
import io
import re
import sys
import zipfile

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

# Compressed, in bytes.
LARGEST = 12_000_000
WANTED = [
    *("gmemx/py.typed", "gmemx/libgmemx.pxd", "gmemx/tensor.pxd", "gmemx/tensor.pyi"),
    *("gmemx/include/gmemx.h", "gmemx/include/gmemx_plugin.h", "gmemx/libgmemx.so"),
    *("gmemx/pkgconfig/gmemx.pc", "gmemx/cmake/gmemxConfig.cmake"),
]
NOT_WANTED = re.compile(r"\.(pyx|c|rs|o|toml)$|^(?!gmemx/|gmemx-[^/]+\.dist-info/)")


def exported(binary):
    """Names that a shared object defines for others."""
    return {
        symbol.name
        for symbol in binary.get_section_by_name(".dynsym").iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
    }


def needed(binary):
    """Versions of glibc whose symbols a shared object needs, as tuples of numbers."""
    versions = set()
    for section in binary.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, wanted in section.iter_versions():
                names = [version.name for version in wanted]
                versions |= {
                    tuple(int(part) for part in name.removeprefix("GLIBC_").split("."))
                    for name in names
                    if re.fullmatch(r"GLIBC_[\d.]+", name)
                }
    return versions


def declared(header):
    """The functions of gmemx.h."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", header, flags=re.DOTALL)
    return set(re.findall(r"\b(gmem_\w+)\s*\(", code))


def wrong_exports(name, binary, functions):
    """A sentence for what a shared object should not export, or does not; None if all is well."""
    names = exported(binary)
    if name == "gmemx/libgmemx.so":
        expected = functions
    elif name.startswith("gmemx/_sample_plugin."):
        # A plugin exports the plugins' interface.
        expected = {found for found in names if re.match(r"plugin_|rb_", found)}
    else:
        module = name.rpartition("/")[2].partition(".")[0]
        expected = {f"PyInit_{module}"}
    if names == expected:
        return None
    more, less = sorted(names - expected), sorted(expected - names)
    return f"{name} exports {more or 'nothing'} too many and lacks {less or 'nothing'}"


def check(path, glibc):
    """Print what a wheel is; what is wrong with it, as sentences."""
    with zipfile.ZipFile(path) as wheel:
        files = wheel.namelist()
        wrong = [f"{name} is missing" for name in WANTED if name not in files]
        wrong += [f"{name} should not be in it" for name in files if NOT_WANTED.search(name)]
        size = sum(info.compress_size for info in wheel.infolist())
        if size > LARGEST:
            wrong.append(f"it has {size} bytes, more than {LARGEST}")
        functions = declared(wheel.read("gmemx/include/gmemx.h").decode())
        newest, modules = {}, 0
        for name in files:
            if name.endswith(".so"):
                modules += 1
                binary = ELFFile(io.BytesIO(wheel.read(name)))
                wrong += filter(None, [wrong_exports(name, binary, functions)])
                newest[name] = max(needed(binary), default=(0,))
    for name, version in newest.items():
        if version > glibc:
            wrong.append(f"{name} needs glibc {'.'.join(map(str, version))}")
    most = max(newest.values())
    print(
        f"{path}: {size / 1e6:.2f} MB, libgmemx.so with {len(functions)} functions of gmemx.h, "
        f"{modules - 1} other shared objects, newest symbol of glibc {'.'.join(map(str, most))}"
    )
    return [f"{path}: {sentence}" for sentence in wrong]


def main():
    """Check every wheel named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheels", nargs="+")
    parser.add_argument("--glibc", default="2.17", help="the newest whose symbols may be needed")
    args = parser.parse_args()
    glibc = tuple(int(part) for part in args.glibc.split("."))
    wrong = [sentence for wheel in args.wheels for sentence in check(wheel, glibc)]
    print(*wrong, sep="\n", end="\n" * bool(wrong), file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
