//! The storage initializer: an init container that downloads models and adapters, each from a URI to a folder,
//! before the serving container of the pod starts.
//!
//! | URI | what arrives | credentials from the environment |
//! |---|---|---|
//! | `hf://org/name[:revision]` | the files of a repository at one commit | `HF_TOKEN`; server `HF_ENDPOINT` |
//! | `s3://bucket/prefix` | the objects below the prefix, or that object | `AWS_*`, see [`config::S3Access`] |
//! | `https://…`, `http://…` | one file; `.tar`, `.tar.gz` and `.tgz` are unpacked | `<host>-headers` |
//! | `/folder` | links to what is mounted there | |
//!
//! A file grows beside its place, is continued where a connection or an earlier run broke off, and gets its name
//! only when size and checksum are right: SHA-256 or git's SHA-1 on the hub, MD5 on S3 where the object has one.
//! What is there already is not downloaded again. `STORAGE_ALLOW_PATTERNS` (a JSON list of globs) selects files of
//! the hub and of buckets. Certificates besides the system's come from `cabundle.crt` below
//! `CA_BUNDLE_VOLUME_MOUNT_POINT` and, for S3, from `AWS_CA_BUNDLE`; `S3_VERIFY_SSL=0` trusts any S3 server.
//!
//!
//! # What holds
//!
//! - **Nothing half.** A file has its name only when it is whole; until then it lies beside it, see [`fetch`]. Every run
//!   does the same work again and skips what is done, so an init container may be killed and started at any time.
//! - **Nothing outside.** Names that lead out of the destination are refused: those from a server before anything is
//!   written, those in an archive when their turn comes. An archive may hold files and folders, and no links.
//! - **One at a time.** A destination is locked for the run ([`lock`]), where its file system can.
//! - **Early.** A download that does not fit into the file system is refused before it begins ([`space`]).
//! - **Secrets stay.** Credentials go to the server they are for and to none it redirects to, and into no log.
//!
//! # Limits
//!
//! [`config::Limits`]: eight files side by side; a server has 60 s to answer and 30 s for each next piece of a body; six
//! attempts in a row that bring no byte end the run, with pauses from one second up to thirty between them. A busy server
//! (429, 408, 5xx) costs an attempt. The size of a file is bounded by the disk alone.
//!
//! # Exit codes
//!
//! 0 everything is there; 1 a download failed; 2 arguments or environment are wrong; 130 and 143 after SIGINT and SIGTERM.
//! The last line of standard error says why, which Kubernetes shows as the container's termination message.
//!
//! # Modules
//!
//! [`args`] and [`config`] say what to do; [`hub`], [`s3`] and [`plain`] turn a URI into a list of [`remote`] files;
//! [`client`] talks to servers and tries again, [`fetch`] downloads a file, [`checksum`] judges it, [`archive`] unpacks it
//! and [`unpacked`] remembers that; [`progress`] logs; [`run`] does it all. Not here: mounting volumes, decrypting
//! confidential models, and deciding what is downloaded, which is the controller's part.

pub mod archive;
pub mod args;
pub mod checksum;
pub mod client;
pub mod config;
pub mod error;
pub mod fetch;
pub mod hub;
pub mod lock;
pub mod plain;
pub mod progress;
pub mod remote;
pub mod run;
pub mod s3;
pub mod space;
pub mod tls;
pub mod unpacked;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
