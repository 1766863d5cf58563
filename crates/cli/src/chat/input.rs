//! Lines of the terminal for an async reader.

use std::io;

use tokio::sync::mpsc;

/// Lines as they are typed, without their end; closed at the end of input.
///
/// A thread reads, because a blocking read cannot be cancelled. It waits for its line to be taken before it
/// reads the next, and dies with the process.
pub(super) fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
