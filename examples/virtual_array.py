import numpy as np

import gmemx

ctx = gmemx.GMemContext(seed=42)

a = ctx.array((10**6, 10**9), distribution="normal")  # 8 petabytes, and none of them stored
print(a.shape, f"{a.nbytes:.0e} bytes")
rows = a[500_000:500_003, -4:]  # a view: nothing is computed yet
print(rows.numpy().round(2))  # now it is
print(a[500_001, -4] == rows[1, 0])  # a part agrees with the whole, bit for bit

rows[0] = 0.0  # written cells are kept, all others stay computed
print(a[500_000, 10**9 - 4 :].numpy(), ctx.overlay_count)

part = a[:1000, :10_000]  # reduced as it is made, on all cores
print(round(part.mean(), 4), round(part.std(), 4))
counts, edges = part.histogram(6, (-3, 3))
print(counts)

dice = ctx.array(60_000, "uint8", offset=2**60, distribution=gmemx.integers(1, 7))
print(dice[:10].numpy(), dice.sum())
print(ctx.array(6, "bool", distribution=gmemx.bernoulli(0.25)).numpy())
print(ctx.array(6, distribution=gmemx.choice([1.5, 2.5], p=[0.9, 0.1])).numpy())

# A random projection: the matrix of 1.6 GB is made in the caches, and never stored.
points = np.random.default_rng(1).standard_normal((100_000, 3))
projection = ctx.array((2000, 100_000), distribution=gmemx.normal(0, 2000**-0.5))
image = projection @ points
print((np.linalg.norm(image, axis=0) / np.linalg.norm(points, axis=0)).round(2))
