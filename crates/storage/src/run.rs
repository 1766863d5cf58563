//! All jobs, one after the other; the files of a job side by side.

use std::fs;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::client::Client;
use crate::config::{Config, Job, Source};
use crate::error::Error;
use crate::fetch::{RemoteFile, fetch};
use crate::progress::Progress;
use crate::{hub, plain, s3};

/// Downloads everything.
///
/// # Errors
/// The first failure.
pub async fn run(config: &Config) -> Result<(), Error> {
    for job in &config.jobs {
        tracing::info!(source = ?job.source, destination = %job.destination.display(), "downloading");
        match &job.source {
            Source::Local(folder) => link(folder, &job.destination)?,
            Source::Hub { .. } | Source::S3 { .. } | Source::Plain { .. } => download(config, job).await?,
        }
    }
    Ok(())
}

/// Lists the files of a job and downloads those that are allowed.
async fn download(config: &Config, job: &Job) -> Result<(), Error> {
    let insecure = config.tls.insecure && matches!(job.source, Source::S3 { .. });
    let client = Client::new(&config.tls, insecure, config.limits.clone())?;
    let files = list(config, &client, &job.source).await?;
    let progress = Progress::new(files.iter().filter_map(|it| it.size).sum());
    let downloads = stream::iter(&files)
        .map(|it| fetch(&client, it, &job.destination, &progress))
        .buffer_unordered(config.limits.n_parallel)
        .try_for_each(|()| async { Ok(()) });
    tokio::select! {
        outcome = downloads => outcome?,
        () = progress.report(&job.destination) => {}
    }
    tracing::info!(
        destination = %job.destination.display(),
        "{} files, {} MB, complete",
        files.len(),
        progress.done() / 1_000_000
    );
    Ok(())
}

async fn list(config: &Config, client: &Client, source: &Source) -> Result<Vec<RemoteFile>, Error> {
    let (what, mut files) = match source {
        Source::Hub { repository, revision } => {
            (format!("hf://{repository}"), hub::list(client, &config.hub, repository, revision).await?)
        }
        Source::S3 { bucket, prefix } => {
            (format!("s3://{bucket}/{prefix}"), s3::list(client, &config.s3, bucket, prefix).await?)
        }
        Source::Plain { url, headers } => return Ok(vec![plain::file(url, headers)?]),
        Source::Local(_) => return Ok(Vec::new()),
    };
    if let Some(allow) = &config.allow {
        files.retain(|it| allow.is_match(&it.path));
    }
    if files.is_empty() {
        return Err(Error::Empty { what, filtered: config.allow.is_some() });
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
