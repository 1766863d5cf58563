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
//! [`args`] and [`config`] say what to do; [`hub`], [`s3`] and [`plain`] turn a URI into a list of [`remote`] files;
//! [`fetch`] downloads a file; [`run`] does it all. Not here: mounting volumes and deciding what is downloaded,
//! which is the controller's part.

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
