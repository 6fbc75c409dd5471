"""The chapters of ``gmemx tour``, one module each.

A chapter is a module with

- ``TITLE``, one line, and
- ``run(stage)``, which shows and checks one kind of memory with what
  `gmemx.cli.stage.Stage` offers, and saves one picture.

To add one: write the module, name it in ``CHAPTERS``. Shared drawing lies in
`gmemx.cli.drawing`.
"""

import sys

# In the order of the tour. Names and not modules: importing a chapter needs the
# extra "cli", listing them must not.
CHAPTERS = (
    "generative",
    "tensor",
    "array",
    *(("pool", "scan", "plugin") if sys.platform == "linux" else ()),
)
