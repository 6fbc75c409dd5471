"""Make, look at, verify and call plugins and the bundles they come in.

gmemx plugin keygen
gmemx plugin bundle calc-1.0.0.rbp --name calc --version 1.0.0 --lib libcalc.so --key gmemx.key
gmemx plugin verify calc-1.0.0.rbp --key gmemx.pub
gmemx plugin inspect calc-1.0.0.rbp
gmemx plugin call calc-1.0.0.rbp math.add '{"a": 1, "b": 2}' --key gmemx.pub
gmemx plugin check libcalc.so

Keys and signatures are those of minisign, and its keys can be used as well.
"""

from __future__ import annotations

import argparse

from gmemx.cli import plugin_bundles, plugin_calls, plugin_keys

HELP = "make, verify, look at and call plugins and their bundles"

ACTIONS = {
    "keygen": (plugin_keys.add_keygen, plugin_keys.keygen, "make a pair of keys to sign with"),
    "bundle": (plugin_bundles.add_bundle, plugin_bundles.bundle, "write a bundle, and sign it"),
    "verify": (plugin_bundles.add_verify, plugin_bundles.verify, "verify all that a bundle has"),
    "inspect": (plugin_bundles.add_inspect, plugin_bundles.inspect, "show what is in a bundle"),
    "extract": (
        plugin_bundles.add_extract,
        plugin_bundles.extract,
        "write a verified library or schema to a folder",
    ),
    "call": (plugin_calls.add_call, plugin_calls.call, "call a plugin once"),
    "check": (
        plugin_calls.add_check,
        plugin_calls.check,
        "see whether a library keeps to the plugin ABI",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin``: commands of its own."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, (add, action, text) in ACTIONS.items():
        child = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        add(child)
        child.add_argument("--json", action="store_true", help="JSON instead of text and tables")
        child.set_defaults(action=action)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0, or 1 where ``check`` has found something.

    Raises
    ------
    PluginException
        Where a bundle is not what it should be, or the plugin answers with an error.
    ValueError
        For a key that is none, a wrong password, or JSON that is none.
    OSError
        Where a file cannot be read or written.
    """
    return args.action(args)
