// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The verbs other than `run`: through the running agent, else in this process.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{self, DriverList, Identity};
use crate::cli::output::Output;
use crate::cli::{CliError, Verb, engine_config};
use crate::client::Client;
use crate::config::Config;
use crate::engine::{Actor, Change, Engine, NodeView, Source, survey};
use crate::service::RunError;
use crate::work::{Event, Work, perform};

/// Does `verb` and prints what came of it.
pub(super) fn run(verb: Verb, config: &Config, output: Output) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    runtime.block_on(async {
        let agent = Client::find(&config.root).await?;
        match verb {
            // `run` is not done here; it never arrives.
            Verb::Run => Ok(()),
            Verb::Status => {
                output.status(&status(agent.as_ref(), config).await?);
                Ok(())
            }
            Verb::History => {
                output.history(&history(agent.as_ref(), config).await?);
                Ok(())
            }
            Verb::Explain => {
                output.explanation(&explanation(agent.as_ref(), config).await?);
                Ok(())
            }
            Verb::Hold { reason } => {
                change(agent.as_ref(), config, Change::Hold { reason }, output).await
            }
            Verb::ReleaseHold => change(agent.as_ref(), config, Change::ReleaseHold, output).await,
            Verb::Pin { version } => {
                change(agent.as_ref(), config, Change::Pin { version }, output).await
            }
            Verb::Unpin => change(agent.as_ref(), config, Change::Unpin, output).await,
            Verb::Block { what, reason } => {
                change(agent.as_ref(), config, Change::Block { what, reason }, output).await
            }
            Verb::Unblock { what } => {
                change(agent.as_ref(), config, Change::Unblock { what }, output).await
            }
            Verb::Drivers { name: None } => {
                output.drivers(&drivers(agent.as_ref(), config).await?);
                Ok(())
            }
            Verb::Drivers { name: Some(name) } => {
                output.driver(&driver(agent.as_ref(), config, &name).await?);
                Ok(())
            }
            Verb::Update { dry_run, source, allow_expired } => {
                let source = given_source(source)?.map(Source::for_this_once);
                work(
                    agent.as_ref(),
                    config,
                    &Asked::Update { dry_run, source, allow_expired },
                    output,
                )
                .await
            }
            Verb::Rollback => work(agent.as_ref(), config, &Asked::Rollback, output).await,
            Verb::Install { bundle } => {
                let bundle = given_bundle(&bundle)?;
                work(agent.as_ref(), config, &Asked::Install { bundle }, output).await
            }
        }
    })
}

async fn status(agent: Option<&Client>, config: &Config) -> Result<Value, CliError> {
    match agent {
        Some(agent) => Ok(agent.get("/status").await?),
        None => Ok(api::status(&Identity::new(config.clone(), None), &look(config)?, None)),
    }
}

async fn history(agent: Option<&Client>, config: &Config) -> Result<Value, CliError> {
    match agent {
        Some(agent) => Ok(agent.get("/history").await?),
        None => Ok(api::history(&look(config)?)),
    }
}

async fn explanation(agent: Option<&Client>, config: &Config) -> Result<Value, CliError> {
    match agent {
        Some(agent) => Ok(agent.get("/explain").await?),
        None => Ok(api::explain(&Identity::new(config.clone(), None), &look(config)?, None)),
    }
}

async fn change(
    agent: Option<&Client>,
    config: &Config,
    change: Change,
    output: Output,
) -> Result<(), CliError> {
    work(agent, config, &Asked::Change(change), output).await
}

async fn drivers(agent: Option<&Client>, config: &Config) -> Result<Value, CliError> {
    match agent {
        Some(agent) => Ok(agent.get("/drivers").await?),
        None => {
            let list = DriverList::new(&Identity::new(config.clone(), None), &look(config)?);
            Ok(json!(list))
        }
    }
}

async fn driver(agent: Option<&Client>, config: &Config, name: &str) -> Result<Value, CliError> {
    match agent {
        Some(agent) => {
            let list = agent.get("/drivers").await?;
            let found = list["drivers"].as_array().into_iter().flatten();
            match found.into_iter().find(|driver| driver["name"] == name) {
                Some(driver) => Ok(driver.clone()),
                None => Err(CliError::UnknownDriver(unknown(&list, name))),
            }
        }
        None => Ok(json!(api::find_driver(&look(config)?, name)?)),
    }
}

fn unknown(list: &Value, name: &str) -> api::UnknownDriver {
    let drivers = list["drivers"].as_array().into_iter().flatten();
    let supported = drivers.filter_map(|driver| driver["name"].as_str().map(str::to_owned));
    api::UnknownDriver::new(name, supported.collect())
}

/// What is installed, seen without a running agent. Nothing is changed, repaired or created.
fn look(config: &Config) -> Result<NodeView, CliError> {
    survey(&engine_config(config), Timestamp::now()).map_err(CliError::Look)
}

/// A changing verb, with what was given.
enum Asked {
    Update { dry_run: bool, source: Option<Source>, allow_expired: bool },
    Rollback,
    Install { bundle: String },
    Change(Change),
}

impl Asked {
    /// The request for the running agent.
    fn request(&self) -> (&'static str, Value) {
        match self {
            Asked::Update { dry_run, source, allow_expired } => {
                let mut body = json!({ "dry_run": dry_run, "allow_expired": allow_expired });
                if let Some(source) = source {
                    body["source"] = source.spelled().into();
                }
                ("/updates", body)
            }
            Asked::Rollback => ("/rollback", json!({})),
            Asked::Install { bundle } => ("/installs", json!({ "bundle": bundle })),
            Asked::Change(change) => ("/changes", json!(change)),
        }
    }

    /// The work for an engine in this process.
    fn work(&self, config: &Config) -> Result<Work, CliError> {
        match self {
            Asked::Update { dry_run, source, allow_expired } => {
                let source = source.clone().or_else(|| config.sources());
                let source = source.ok_or(CliError::NoSource)?;
                Ok(match (dry_run, allow_expired) {
                    (true, _) => Work::Plan(source),
                    (false, true) => Work::UpdateExpired(source),
                    (false, false) => Work::Update(source),
                })
            }
            Asked::Rollback => Ok(Work::Rollback),
            Asked::Change(change) => Ok(Work::Change(change.clone())),
            Asked::Install { bundle } => Ok(Work::Update(Source::Import(bundle.into()))),
        }
    }
}

async fn work(
    agent: Option<&Client>,
    config: &Config,
    asked: &Asked,
    output: Output,
) -> Result<(), CliError> {
    let mut printer = output.events();
    let mut emit = |event: Event| printer.print(&event);
    let ended = match agent {
        Some(agent) => {
            let (path, body) = asked.request();
            agent.work(path, &body, &mut emit).await?
        }
        None => {
            let work = asked.work(config)?;
            let mut engine = Engine::open(engine_config(config))?;
            engine.act_for(me());
            perform(&mut engine, &work, Timestamp::now(), &mut emit).await
        }
    };
    printer.print(&ended);
    match ended {
        Event::Failed { text, kind } => Err(CliError::Work { text, kind }),
        Event::Done { .. } | Event::Planned { .. } | Event::Progress { .. } => Ok(()),
    }
}

/// Who runs this process, for the history.
fn me() -> Actor {
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = named("SUDO_USER").or_else(|| named("LOGNAME")).or_else(|| named("USER"));
    let plain = |user: &String| user.len() <= 64 && !user.chars().any(char::is_control);
    Actor::Cli { uid: rustix::process::getuid().as_raw(), user: user.filter(plain) }
}

/// The text of `--source` as a source; a path may be relative to where the command is run.
fn given_source(text: Option<String>) -> Result<Option<Source>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let bad = || CliError::BadSource(crate::config::redacted(&text));
    if text.is_empty() {
        return Err(bad());
    }
    if text.contains("://") {
        return text.parse().map(Some).map_err(|_| bad());
    }
    let path = absolute(Path::new(&text))?;
    path.to_str().and_then(|path| path.parse().ok()).map(Some).ok_or_else(bad)
}

/// The path of `--bundle` as the running agent can be told it: in JSON, which has no other text.
fn given_bundle(path: &Path) -> Result<String, CliError> {
    let whole = absolute(path)?.into_os_string();
    whole.into_string().map_err(|_| CliError::BundleName(path.to_owned()))
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|source| CliError::Path { path: path.to_owned(), source })
}
