"""The Python reference: which names are public, and a page of directives for each module."""

from __future__ import annotations

import ast
from pathlib import Path

# In the order of the guides; modules that are not named here come behind.
ORDER = (
    *("gmemx", "generative", "array", "distributions", "delta", "dask", "zarr", "xarray"),
    *("tensor", "pool", "cuda", "scan", "plugin"),
    *("errors", "runtime", "paths", "status"),
)

# Classes of others, whose members are told of elsewhere.
FOREIGN = ("Exception", "Sequence", "int", "IntEnum", "ndarray", "tuple", "dict")


def modules(package: Path) -> list[str]:
    """The public modules, without the package itself and its command.

    Parameters
    ----------
    package : Path
        The folder of ``gmemx``.

    Returns
    -------
    list of str
        Names without ``gmemx.``.
    """
    files = {path.stem for suffix in ("py", "pyx") for path in package.glob(f"*.{suffix}")}
    names = [name for name in files if not name.startswith("_")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else 99, name))


def public_names(package: Path, module: str) -> list[str]:
    """What a module gives to everybody: what its stub, or its source, defines or hands on.

    Parameters
    ----------
    package : Path
    module : str
        Without ``gmemx.``.

    Returns
    -------
    list of str
        Classes first, then functions, each by name.
    """
    stub = package / f"{module}.pyi"
    source = stub if stub.exists() else package / f"{module}.py"
    classes, functions = set(), set()
    listed = None
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            classes.add(node.name)
        elif isinstance(node, ast.FunctionDef):
            functions.add(node.name)
        elif isinstance(node, ast.ImportFrom) and source is stub:
            handed_on = {alias.name for alias in node.names if alias.asname == alias.name}
            classes |= {name for name in handed_on if name[0].isupper()}
            functions |= {name for name in handed_on if not name[0].isupper()}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = set(ast.literal_eval(node.value))
    kinds = (sorted(classes), sorted(functions))
    names = [name for kind in kinds for name in kind if not name.startswith("_")]
    return [name for name in names if listed is None or name in listed]


def page(package: Path, module: str) -> str:
    """The page of one module.

    Parameters
    ----------
    package : Path
    module : str
        Without ``gmemx.``.

    Returns
    -------
    str
        Markdown, with directives of autodoc.
    """
    full = f"gmemx.{module}"
    lines = [f"# {full}", "", "```{eval-rst}", f".. automodule:: {full}", "   :no-index:", ""]
    for name in public_names(package, module):
        if name[0].isupper():
            lines += [f".. autoclass:: {full}.{name}", "   :members:"]
            # Classes for other libraries inherit what those tell of.
            if module not in ("dask", "xarray", "zarr"):
                lines += [f"   :inherited-members: {', '.join(FOREIGN)}"]
            lines += [""]
        else:
            lines += [f".. autofunction:: {full}.{name}", ""]
    return "\n".join([*lines, "```", ""])


def package_page(package: Path) -> str:
    """The page of `gmemx` itself, which hands on what its modules have.

    Parameters
    ----------
    package : Path

    Returns
    -------
    str
        Markdown.
    """
    imported = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gmemx.")
        for alias in node.names
    ]
    public = set(modules(package))
    lines = ["# gmemx", "", "```{eval-rst}", ".. automodule:: gmemx", "   :no-index:", ""]
    own = sorted(name for module, name in imported if module.startswith("gmemx._"))
    listed = (package / "__init__.py").read_text(encoding="utf-8")
    own = [name for name in own if f'"{name}"' in listed]  # in __all__
    lines += [line for name in own for line in (f".. autofunction:: gmemx.{name}", "")]
    lines += ["```", "", "What the modules have, and is in `gmemx` too:", "", "| | |", "|---|---|"]
    for module, name in sorted(imported, key=lambda pair: pair[1].lower()):
        short = module.removeprefix("gmemx.")
        if short in public and not name.startswith("_"):
            lines.append(f"| `gmemx.{name}` | [{module}]({short}.md) |")
    return "\n".join([*lines, ""])
