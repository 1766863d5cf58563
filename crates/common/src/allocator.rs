//! The allocator of the static binaries that the images hold.
//!
//! musl's allocator takes one lock for all threads, which a proxy feels first. glibc's is good enough, so other
//! builds keep it.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
