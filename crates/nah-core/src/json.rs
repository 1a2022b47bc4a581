//! JSON that is walked over, and read only where somebody looks.

mod block;
mod check;
mod cursor;
mod scan;

pub use cursor::Cursor;
pub use scan::Scan;
