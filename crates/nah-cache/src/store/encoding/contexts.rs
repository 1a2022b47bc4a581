//! The process's contexts of zstd and its buffers, which any kind borrows for one object.

use std::{
    mem,
    ops::{Deref, DerefMut},
};

use nah_core::BoxError;
use parking_lot::Mutex;
use zstd_safe::{CCtx, CDict, DCtx, DDict};

/// How many of each wait for the next object. More than there are processors are hardly ever in use.
const IDLE: usize = 16;
/// A buffer that has grown beyond this is not kept.
const LARGE: usize = 1 << 20;

static ENCODERS: Mutex<Vec<CCtx<'static>>> = Mutex::new(Vec::new());
static DECODERS: Mutex<Vec<DCtx<'static>>> = Mutex::new(Vec::new());
static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer of the process, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

/// `json` as a frame that `dictionary` helps to keep short.
pub(super) fn pack(json: &[u8], dictionary: &CDict<'_>) -> Result<Box<[u8]>, BoxError> {
    let context = ENCODERS.lock().pop().or_else(CCtx::try_create);
    let mut context = context.ok_or("zstd has no memory for a context")?;
    let mut frame = Buffer::borrow();
    frame.reserve(zstd_safe::compress_bound(json.len()));
    let packed = context.compress_using_cdict(&mut *frame, json, dictionary);
    give_back(&ENCODERS, context, LARGE, |context| context.sizeof());
    packed.map_err(zstd_safe::get_error_name)?;
    Ok(frame.as_slice().into())
}

/// Appends what `frame` was made of to `buffer`, which is empty.
pub(super) fn unpack(frame: &[u8], dictionary: &DDict<'_>, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
    let size =
        zstd_safe::get_frame_content_size(frame).ok().flatten().ok_or("frame does not say its size")?;
    buffer.try_reserve(usize::try_from(size)?)?;
    let context = DECODERS.lock().pop().or_else(DCtx::try_create);
    let mut context = context.ok_or("zstd has no memory for a context")?;
    let unpacked = context.decompress_using_ddict(buffer, frame, dictionary);
    give_back(&DECODERS, context, LARGE, |context| context.sizeof());
    unpacked.map_err(zstd_safe::get_error_name)?;
    Ok(())
}

/// Keeps what was borrowed for the next one, unless it has grown large or enough of them wait.
fn give_back<T>(pool: &Mutex<Vec<T>>, borrowed: T, large: usize, size: impl Fn(&T) -> usize) {
    if size(&borrowed) <= large {
        let mut pool = pool.lock();
        if pool.len() < IDLE {
            pool.push(borrowed);
        }
    }
}

impl Buffer {
    /// An empty buffer.
    pub(crate) fn borrow() -> Self {
        let buffer = BUFFERS.lock().pop();
        Self(buffer.unwrap_or_default())
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.0);
        buffer.clear();
        give_back(&BUFFERS, buffer, LARGE, Vec::capacity);
    }
}
