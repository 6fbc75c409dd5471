import pickle

import numpy as np

from gmemx import GMemContext, Tensor, zeros

t = GMemContext(42).tensor(0, (480, 640))  # cells as a tensor of float64
image = t.numpy()  # the same memory, as NumPy sees it
image[0, 0] = 5.0
print(t[0, 0], t.max())

part = t[100:200, ::-2].T  # a view: nothing is copied
part.fill(0.0)
print(part.shape, np.count_nonzero(image == 0.0))

pixels = bytearray(12)  # memory of somebody else
Tensor.from_buffer(pixels, "uint8", (2, 2, 3))[1, 1] = [255, 128, 0]
print(pixels.hex())

small = t.astype("bfloat16")  # one of 16 dtypes; others are float8_e4m3fn and int4
print(t.nbytes, small.nbytes, small.mean(), small.sum(axis=1).shape)

buffers: list[pickle.PickleBuffer] = []  # pickled beside the stream: nothing is copied
stream = pickle.dumps(t, protocol=5, buffer_callback=buffers.append)
print(len(stream) < 1000, pickle.loads(stream, buffers=buffers).equal(t))

with zeros(10**6, "float32") as scratch:  # given back at the end, not some time later
    scratch[::2] = 1
    print(scratch.sum())
