"""``gmemx plugin call`` and ``gmemx plugin check``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gmemx.cli.arguments import u64
from gmemx.cli.output import Output
from gmemx.cli.plugin_keys import add_trust, loader_of

BUNDLE = ".rbp"
STDIN = "-"


def add_call(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin call``."""
    parser.add_argument("plugin", metavar="PLUGIN", type=Path, help="a library, or a .rbp bundle")
    parser.add_argument("tag", metavar="TAG", help="of the message; with --raw its number")
    parser.add_argument(
        *("request",), metavar="REQUEST", nargs="?", default="{}",
        help="JSON, or - for standard input; with --raw it is always standard input",
    )  # fmt: skip
    parser.add_argument(
        "--raw", action="store_true", help="bytes in and out, by the binary transport"
    )
    parser.add_argument("--config", metavar="JSON", help="the plugin's own settings, an object")
    parser.add_argument("--variant", help="of a bundle; by default release")
    parser.add_argument("--isolate", action="store_true", help="run it in a process of its own")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what the plugin logs")
    add_trust(parser)


def call(args: argparse.Namespace) -> int:
    """Call a plugin once, and print what it answers."""
    from gmemx.plugin import load

    number = u64(args.tag) if args.raw else None
    options = {
        "config": _config(args.config),
        "log_callback": _print_log if args.verbose else False,
        "isolate": args.isolate,
    }
    if args.plugin.suffix == BUNDLE:
        plugin = loader_of(args).load(args.plugin, variant=args.variant, **options)
    elif args.key or args.embedded_key or args.variant:
        raise ValueError(f"{args.plugin} is no bundle: keys and variants are for {BUNDLE} files")
    else:
        plugin = load(args.plugin, **options)
    with plugin:
        if number is not None:
            sys.stdout.buffer.write(plugin.call_raw_bytes(number, sys.stdin.buffer.read()))
            return 0
        text = sys.stdin.read() if args.request == STDIN else args.request
        answer = plugin.call(args.tag, text)
    output = Output(as_json=args.json)
    if args.json:
        output.emit(json.loads(answer))
    else:
        output.say(answer)
    return 0


def _config(text: str | None) -> object:
    from gmemx.plugin import PluginConfig

    if text is None:
        return None
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError(f"--config must be a JSON object, not {text}")
    return PluginConfig(data=data)


def _print_log(level: object, target: str, message: str) -> None:
    name = getattr(level, "name", level)
    sys.stderr.write(f"{name} {target}: {message}\n")


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin check``."""
    parser.add_argument("library", metavar="LIB", type=Path)
    parser.add_argument("--tag", default="echo", help="of a message to call with (default echo)")
    parser.add_argument("--request", metavar="JSON", help="what that message is sent with")


def check(args: argparse.Namespace) -> int:
    """Run the conformance list against a library; 1 where it does not keep to it."""
    from gmemx.plugin import check as check_library

    results = check_library(args.library, tag=args.tag, request=args.request)
    failed = [result for result in results if not result.passed]
    output = Output(as_json=args.json)
    output.table(
        ("check", "", ""),
        [(r.name, "passed" if r.passed else "FAILED", r.detail) for r in results],
        [{"check": r.name, "passed": r.passed, "detail": r.detail} for r in results],
        left=range(3),
    )
    if not args.json:
        output.say(f"{len(failed)} of {len(results)} failed" if failed else "all passed")
    return 1 if failed else 0
