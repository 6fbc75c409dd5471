"""Tensors made of data, for `gmemx.tensor`."""

from gmemx.tensor cimport Tensor

# A new tensor with a copy of the data; see `Tensor`. It may be `into`, if that is not None: one
# that has no memory yet.
cdef Tensor tensor_of(object data, object dtype, Tensor into)
