//! Files that the user wrote, or that we did for the user.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// More than any of them has.
const LENGTH_MAX: u64 = 16 << 20;

/// The whole text; an error if it is none, or too long.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(LENGTH_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > LENGTH_MAX {
        let said = format!("it has more than {} MiB", LENGTH_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, said));
    }
    Ok(text)
}
