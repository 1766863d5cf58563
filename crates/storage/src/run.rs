//! All jobs, one after the other; the files of a job side by side.

use std::fs;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::archive::Archive;
use crate::client::Client;
use crate::config::{Config, Job, Source};
use crate::error::Error;
use crate::fetch::{fetch, n_missing, place};
use crate::lock::lock;
use crate::progress::Progress;
use crate::remote::RemoteFile;
use crate::unpacked::Unpacked;
use crate::{hub, plain, s3, space};

/// Downloads everything.
///
/// # Errors
/// The first failure.
pub async fn run(config: &Config) -> Result<(), Error> {
    for job in &config.jobs {
        tracing::info!(source = %job.source, destination = %job.destination.display(), "downloading");
        match &job.source {
            Source::Local(folder) => link(folder, &job.destination)?,
            Source::Hub { .. } | Source::S3 { .. } | Source::Plain { .. } => download(config, job).await?,
        }
    }
    Ok(())
}

/// Lists the files of a job and downloads those that are allowed.
async fn download(config: &Config, job: &Job) -> Result<(), Error> {
    let client = Client::new(&config.tls.trust(&job.source), config.limits.clone())?;
    let files = list(config, &client, &job.source).await?;
    for file in &files {
        place(&job.destination, Path::new(&file.path))?;
    }
    let _lock = lock(&job.destination).await?;
    match archive(job, &files) {
        Some((kind, file)) => download_archive(&client, job, kind, file).await,
        None => download_files(&client, job, &files).await,
    }
}

/// The archive that a web server has instead of a file.
fn archive<'a>(job: &Job, files: &'a [RemoteFile]) -> Option<(Archive, &'a RemoteFile)> {
    let file = files.first().filter(|_| matches!(job.source, Source::Plain { .. }))?;
    Archive::of_name(&file.path).map(|it| (it, file))
}

async fn download_files(client: &Client, job: &Job, files: &[RemoteFile]) -> Result<(), Error> {
    let mut n_bytes = 0;
    for file in files {
        n_bytes += n_missing(file, &job.destination).await;
    }
    space::check(&job.destination, n_bytes)?;
    let progress = Progress::new(files.iter().filter_map(|it| it.size).sum());
    let downloads = stream::iter(files)
        .map(|it| fetch(client, it, &job.destination, &progress))
        .buffer_unordered(client.limits().n_parallel)
        .try_for_each(|()| async { Ok(()) });
    tokio::select! {
        outcome = downloads => outcome?,
        () = progress.report(&job.destination) => {}
    }
    tracing::info!(destination = %job.destination.display(), "complete: {}", progress.summary(files.len()));
    Ok(())
}

/// Downloads and unpacks an archive, unless its content is there from an earlier run.
async fn download_archive(client: &Client, job: &Job, kind: Archive, file: &RemoteFile) -> Result<(), Error> {
    let unpacked = Unpacked::of(file, &job.destination);
    if unpacked.is_done() {
        tracing::info!(destination = %job.destination.display(), "complete: unpacked by an earlier run");
        return Ok(());
    }
    let path = place(&job.destination, Path::new(&file.path))?;
    download_files(client, job, std::slice::from_ref(file)).await?;
    let (archive, destination) = (path.clone(), job.destination.clone());
    let unpacking = tokio::task::spawn_blocking(move || kind.unpack(&archive, &destination));
    let n_files = unpacking.await.expect("unpacking does not panic")?;
    unpacked.set_done()?;
    fs::remove_file(&path).map_err(|source| Error::File { path, source })?;
    tracing::info!(destination = %job.destination.display(), "complete: {n_files} files unpacked");
    Ok(())
}

async fn list(config: &Config, client: &Client, source: &Source) -> Result<Vec<RemoteFile>, Error> {
    let mut files = match source {
        Source::Hub { repository, revision } => hub::list(client, &config.hub, repository, revision).await?,
        Source::S3 { server, bucket, prefix } => s3::list(client, server, bucket, prefix).await?,
        Source::Plain { url, headers } => return Ok(vec![plain::file(client, url, headers).await?]),
        Source::Local(_) => return Ok(Vec::new()),
    };
    if let Some(allow) = &config.allow {
        files.retain(|it| allow.is_match(&it.path));
    }
    if files.is_empty() {
        return Err(Error::Empty { what: source.to_string(), filtered: config.allow.is_some() });
    }
    files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    Ok(files)
}

/// Makes the entries of a mounted folder, or a mounted file, appear in the destination.
fn link(source: &Path, destination: &Path) -> Result<(), Error> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    if !source.exists() {
        return Err(Error::Missing { path: source.to_owned() });
    }
    fs::create_dir_all(destination).map_err(wrong(destination))?;
    let entries = if source.is_dir() {
        let entries = fs::read_dir(source).map_err(wrong(source))?;
        entries.map(|it| it.map(|it| it.path())).collect::<Result<Vec<_>, _>>().map_err(wrong(source))?
    } else {
        vec![source.to_owned()]
    };
    for entry in entries {
        let target = destination.join(entry.file_name().unwrap_or_default());
        if fs::symlink_metadata(&target).is_err() {
            std::os::unix::fs::symlink(&entry, &target).map_err(wrong(&target))?;
        }
    }
    Ok(())
}
