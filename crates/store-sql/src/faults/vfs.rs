//! What SQLite calls. The only unsafe code of the crate: it turns SQLite's pointers into slices and handles, and nothing else.
//!
//! Safety, for all of it: SQLite calls a method of a file only between its `xOpen` that went well and the end of its `xClose`,
//! never two at a time for one file, and gives buffers of the size that it says (<https://sqlite.org/c3ref/io_methods.html>).

#![expect(unsafe_code, reason = "a VFS is a table of functions of C")]

use super::disk::{Disk, Handle};
use super::locks::Level;
use super::state::Answer;
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What SQLite knows the VFS by.
pub(super) const NAME: &CStr = c"everloop-faults";

/// 1970-01-01 in milliseconds of the Julian calendar: on a simulated disk no time goes by that SQLite could read.
const EPOCH_MS: i64 = 210_866_760_000_000;

/// Wakes connections that wait for another thread's lock.
static RELEASED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// SQLite's part of an open file, and ours.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the VFS known to SQLite, once. It stays for as long as the process.
pub(super) fn register() -> rusqlite::Result<()> {
    static OUTCOME: OnceLock<c_int> = OnceLock::new();
    let code = *OUTCOME.get_or_init(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: 1_024,
            pNext: std::ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the table is never freed, and its functions are those below.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) }
    });
    if code == ffi::SQLITE_OK {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("the VFS was not taken".into())))
}

fn code(answer: Answer<()>) -> c_int {
    answer.err().unwrap_or(ffi::SQLITE_OK)
}

/// The disk of a full name, and the name on it.
///
/// # Safety
/// The name ends with a zero and lives for as long as is said.
unsafe fn find<'a>(name: *const c_char) -> Option<(Disk, &'a str)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    Disk::of(unsafe { CStr::from_ptr(name) }.to_str().ok()?)
}

/// The handle of a file.
///
/// # Safety
/// The file was opened by [`open`] and is not closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` has put a handle there, which `close` frees; nobody else uses it during this call.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let file = file.cast::<File>();
    // SAFETY: SQLite gives `szOsFile` bytes; without methods it does not call `xClose`.
    unsafe { (*file).base.pMethods = std::ptr::null() };
    // SAFETY: SQLite's names end with a zero. One without a name is temporary: those are kept in memory.
    let Some((disk, name)) = (unsafe { find(name) }) else { return ffi::SQLITE_CANTOPEN };
    match disk.open(name, flags) {
        Ok(handle) => {
            // SAFETY: as above; `flags_out` may be null and is a number else.
            unsafe {
                (*file).handle = Box::into_raw(Box::new(handle));
                (*file).base.pMethods = &METHODS;
                if let Some(out) = flags_out.as_mut() {
                    *out = flags;
                }
            }
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it was opened, so there is a handle; SQLite calls nothing of this file afterwards.
    drop(unsafe { Box::from_raw((*file.cast::<File>()).handle) });
    RELEASED.1.notify_all();
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: the buffer has `len` bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    // SAFETY: it is open.
    code(unsafe { handle(file) }.read(at as usize, buffer))
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: the buffer has `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len as usize) };
    // SAFETY: it is open.
    code(unsafe { handle(file) }.write(at as usize, bytes))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: it is open.
    code(unsafe { handle(file) }.truncate(len as usize))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: it is open.
    code(unsafe { handle(file) }.sync())
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: it is open, and `out` is a number.
    code(unsafe { handle(file) }.len().map(|len| unsafe { *out = len as i64 }))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: it is open.
    code(unsafe { handle(file) }.lock(Level::of(level)))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: it is open.
    unsafe { handle(file) }.unlock(Level::of(level));
    RELEASED.1.notify_all();
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: it is open, and `out` is a number.
    code(unsafe { handle(file) }.is_reserved().map(|reserved| unsafe { *out = reserved.into() }))
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    // As SQLite has it on Linux, where it can't be asked for.
    4_096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: it is open.
    let handle = unsafe { handle(file) };
    code(handle.region(number as usize, bytes as usize, extend != 0).map(|region| {
        let memory =
            region.map_or(std::ptr::null_mut(), |region| region.as_ptr().cast_mut().cast::<c_void>());
        // SAFETY: `out` is a pointer. What it is set to may be changed through it, being atomics, and lives until
        // `xShmUnmap`, because the handle keeps the region.
        unsafe { *out = memory };
    }))
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: it is open.
    let answer = unsafe { handle(file) }.lock_memory(first as usize, count as usize, flags);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        RELEASED.1.notify_all();
    }
    code(answer)
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: it is open, and SQLite does not use the memory any more.
    unsafe { handle(file) }.leave_memory();
    RELEASED.1.notify_all();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_names: c_int) -> c_int {
    // SAFETY: SQLite's names end with a zero.
    let Some((disk, name)) = (unsafe { find(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    code(disk.remove(name, sync_names != 0))
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's names end with a zero, and `out` is a number.
    unsafe { *out = find(name).is_some_and(|(disk, name)| disk.has(name)).into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's names end with a zero.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > len as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has `len` bytes, and is none of SQLite's names.
    unsafe { std::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}

/// SQLite asks the default VFS only, but the table must have it.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `out` has `len` bytes.
    unsafe { std::ptr::write_bytes(out, 0x5e, len as usize) };
    len
}

/// Waits until a lock is released, for no longer than SQLite asks. A thread that is alone with its disk never comes here.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let guard = RELEASED.0.lock().unwrap_or_else(PoisonError::into_inner);
    drop(RELEASED.1.wait_timeout(guard, wait));
    micros
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is a number.
    unsafe { *out = EPOCH_MS as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(_: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: `out` is a number.
    unsafe { *out = EPOCH_MS };
    ffi::SQLITE_OK
}
