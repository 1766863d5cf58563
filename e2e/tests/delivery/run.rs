//! Brings the cluster up, tells the stories, and reports.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use llmd_e2e::diagnostics;
use llmd_e2e::provider::install;
use llmd_e2e::skip::Skip;

use crate::Story;
use crate::options::Options;
use crate::report::{Outcome, Report};
use crate::world::World;

/// Whether no story failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let stories = options.stories()?;
    let mut report = Report::default();
    let start = Instant::now();
    match options.choice().start(options.keep) {
        Ok(provider) => {
            println!(
                "the cluster is up after {:.1} s: {}",
                start.elapsed().as_secs_f64(),
                kubeconfig(&*provider)
            );
            let world = World::new(provider, options)?;
            for story in stories {
                let begun = Instant::now();
                let outcome = if options.is_late() {
                    Outcome::Skipped("it would begin after the time of --until".to_owned())
                } else {
                    tell(story, &world, options)
                };
                report.add(story.name, story.says, begun.elapsed(), outcome);
            }
            if options.keep {
                world.keep();
            }
        }
        Err(error) => {
            let outcome = outcome(Err(error.context("the cluster does not come up")));
            report.add("cluster", "a cluster comes up", start.elapsed(), outcome);
            for story in stories {
                let reason = Outcome::Skipped("there is no cluster".to_owned());
                report.add(story.name, story.says, std::time::Duration::ZERO, reason);
            }
        }
    }
    report.print();
    if let Some(path) = &options.junit {
        report.write_junit(path).with_context(|| format!("--junit: cannot write {}", path.display()))?;
    }
    Ok(report.n_failed() == 0)
}

fn kubeconfig(provider: &dyn llmd_e2e::provider::Provider) -> String {
    format!("export KUBECONFIG={}", provider.kubectl().kubeconfig().display())
}

fn tell(story: &Story, world: &World, options: &Options) -> Outcome {
    println!("{}: {}", story.name, story.says);
    let prepared = story.with.iter().try_for_each(|it| install(world.provider(), *it));
    let outcome = outcome(prepared.and_then(|()| (story.tell)(world)));
    if let Outcome::Failed(_) = outcome {
        let folder = options.diagnostics.join(story.name);
        if let Err(error) = diagnose(story, world, &folder) {
            println!("{}: no diagnostics: {error:#}", story.name);
        }
    }
    world.end_story();
    println!("{}: {outcome}", story.name);
    outcome
}

fn diagnose(story: &Story, world: &World, folder: &Path) -> Result<()> {
    diagnostics::collect(world.provider(), folder)?;
    println!("{}: diagnostics are in {}", story.name, folder.display());
    for line in diagnostics::highlights(world.provider(), folder)? {
        println!("  {line}");
    }
    Ok(())
}

fn outcome(told: Result<()>) -> Outcome {
    match told {
        Ok(()) => Outcome::Passed,
        Err(error) => match error.downcast_ref::<Skip>() {
            Some(Skip(reason)) => Outcome::Skipped(reason.clone()),
            None => Outcome::Failed(format!("{error:#}")),
        },
    }
}
