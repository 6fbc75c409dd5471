import numpy as np

from gmemx import GMemContext

ctx = GMemContext(seed=42)  # 2**64 cells; nothing is computed or stored yet
print(ctx[0], ctx[2**64 - 1])  # any cell, in any order

cells = ctx[2**40 : 2**40 + 1_000_000]  # a NumPy array, filled on all cores
print(cells.mean())

ctx[7] = -1.5  # a written cell keeps its value
ctx[100:200] = 0.0
ctx.write_many([10**6, 10**12, 10**18], [1.0, 2.0, 3.0])
print(ctx.overlay_count, "cells are stored")

fork = ctx.fork()  # an independent copy
del fork[7]  # the generated value is back
print(ctx[7], fork[7])

out = np.empty((512, 512))
ctx.fetch_into(2**63, out)  # no allocation: any writable float64 buffer
print(out.max())
