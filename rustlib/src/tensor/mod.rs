//! One typed view over memory of every kind, and the small compute that belongs
//! to it. Nothing here owns memory: a [`View`] is a pointer, a dtype, a shape and
//! byte strides, and whoever calls keeps what it points to alive.
//!
//! [`Nest`] turns views of one shape into few long loops; each kernel works on
//! the innermost of them. `int4` is packed two to a byte and has no byte strides:
//! [`copy`](mod@copy) unpacks and packs it, and every other kernel sees `int8`.

pub mod arithmetic;
pub mod checksum;
pub mod compare;
pub mod convert;
pub mod copy;
pub mod dtype;
pub mod element;
pub mod matmul;
pub mod memory;
pub mod nest;
mod number;
pub mod reduce;
pub mod scratch;
mod segments;
pub mod softmax;
pub mod view;

pub use copy::copy;
pub use dtype::DType;
pub use element::Element;
pub use nest::Nest;
pub use reduce::Reduction;
pub use scratch::Scratch;
pub use view::View;
