//! Native plugins: libraries that follow a small C ABI, each instance a private copy.
//!
//! * [`abi`]: what a library exports.
//! * [`library`]: loading one, never to unload it; [`copy`]: the private copy of its file.
//! * [`instance`]: a plugin that was started; [`gate`]: who is in it, and when it is closed.
//! * [`response`]: what it answers; [`envelope`]: the payload out of the answer's text.
//! * [`queue`]: calls made by workers.
//! * [`minisign`]: keys and signatures, without any of the others.
//! * [`logs`]: what plugins log; [`bell`]: waiting without a lock; [`fork`]: forked children.
//! * [`os`]: what differs between operating systems.

pub mod abi;
mod bell;
mod copy;
pub mod envelope;
mod fork;
mod gate;
mod instance;
mod library;
pub mod logs;
pub mod minisign;
mod os;
pub mod queue;
mod response;

pub use instance::{Instance, Plugin, Raw, Visit};
pub use os::path_of;
pub use response::PluginResponse;
