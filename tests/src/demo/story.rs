// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What happens in the demo, in order.

use std::path::Path;

use crate::demo::container::DemoContainer;
use crate::demo::options::DemoOptions;
use crate::demo::show::Show;
use crate::demo::{LIMIT, wait, wait_for_interrupt};
use crate::node::{Node, version_of};
use crate::programs::{self, NEXT_VERSION, VERSION};
use crate::receiver::TcpReceiver;
use crate::release_server::{Fault, ReleaseServer};
use crate::repository::{CHANNEL, Repository, renumbered};

/// The version of the release that is spoiled on its way.
const SPOILED_VERSION: &str = "0.3.0";

/// Lines that have to arrive before the story goes on.
const LINES_BEFORE_GOING_ON: usize = 200;

/// Tells the story; true when every count and every refusal was right.
pub(super) fn tell(options: &DemoOptions, show: &Show) -> bool {
    let scratch = tempfile::tempdir().expect("a scratch folder can be made");
    let folder = scratch.path();
    show.plain(&format!("everything happens in {} and on 127.0.0.1\n", folder.display()));

    let repository = Repository::create(&folder.join("publisher"));
    show.step("keys: one for the root of trust, one each for targets, snapshot and timestamp");

    repository.publish_first();
    let first_tree = folder.join("first-tree");
    repository.copy_tree(&first_tree);
    let server = ReleaseServer::start(&repository.tree());
    show.step(&format!(
        "release {VERSION} is built, signed, published on channel {CHANNEL} at {}",
        server.url()
    ));

    let mut node = Node::new(&folder.join("node"), &repository.trust_anchor(), Some(&server.url()));
    node.start();
    wait_for_api(&node, VERSION);
    show.step(&format!("the agent has started from nothing and installed release {VERSION}"));
    show.remark(&drivers(&node));

    let receiver = TcpReceiver::start();
    let command = options.command.as_ref();
    // A command of the user's own may say little, and must still run when the node moves on.
    let lines = if command.is_some() { 1 } else { LINES_BEFORE_GOING_ON };
    let first = DemoContainer::start("container-1", &node.logger(), &receiver, command, folder);
    show.step(&format!(
        "container-1 runs with logger {}, and writes to {}",
        first.version,
        receiver.syslog_address()
    ));
    first.wait_for_lines(lines, &receiver, show);
    let before = first.running_logger();

    repository.publish_next();
    show.step(&format!("release {NEXT_VERSION} is published while container-1 runs"));
    show.remark(last_line(&node.expect(&["update"])));
    wait_for_version(&node, NEXT_VERSION);
    let kept = keeps_its_logger(&first, before.as_ref(), show);

    let second = DemoContainer::start("container-2", &node.logger(), &receiver, command, folder);
    show.step(&format!("container-2 runs with logger {}", second.version));
    second.wait_for_lines(lines, &receiver, show);
    let moved = second.version == NEXT_VERSION;

    let refused = refusals(&repository, &server, &node, &first_tree, folder, show);

    let said = node.expect(&["rollback"]);
    let rolled_back = node.logger_version().as_deref() == Some(VERSION);
    show.step(&format!("rollback: {}", last_line(&said)));

    show.step("both containers end; every line they wrote is looked for at the receiver");
    let rows = [first.finish(&receiver, show), second.finish(&receiver, show)];
    show.table(&rows);
    let right = kept && moved && refused && rolled_back && rows.iter().all(|row| row.right());
    if !right {
        show.error("not all went as it should; see above");
    }
    if options.stay {
        show.plain(&invitation(&node, &server));
        wait_for_interrupt();
    }
    right
}

fn wait_for_version(node: &Node, version: &str) {
    let seen = wait(LIMIT, || match node.logger_version() {
        Some(seen) if seen == version => Ok(()),
        other => Err(other),
    });
    if let Err(seen) = seen {
        panic!(
            "release {version} should be installed, found {seen:?}; the agent's log:\n{}",
            node.log()
        );
    }
}

/// The file is switched a moment before the API knows.
fn wait_for_api(node: &Node, version: &str) {
    let known = wait(LIMIT, || {
        let status = node.get("/status").json();
        if status["current"]["version"] == version { Ok(()) } else { Err(status) }
    });
    if let Err(status) = known {
        panic!(
            "the API should know release {version}, not {status}; the agent's log:\n{}",
            node.log()
        );
    }
}

fn drivers(node: &Node) -> String {
    let list = node.get("/drivers").json();
    let drivers = list["drivers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = drivers
        .iter()
        .map(|driver| {
            let options = driver["options"].as_array().map_or(0, Vec::len);
            format!("{} ({options} options)", driver["name"].as_str().unwrap_or("?"))
        })
        .collect();
    format!("GET /drivers: {}", names.join(", "))
}

/// True when the container still runs the file that it was started with.
fn keeps_its_logger(
    container: &DemoContainer,
    before: Option<&(String, u64)>,
    show: &Show,
) -> bool {
    match (before, container.running_logger()) {
        (Some(before), Some(now)) => {
            let (version, inode) = &now;
            show.remark(&format!("{} keeps logger {version} (inode {inode})", container.name));
            *before == now && version == VERSION
        }
        _ if container.ended() => {
            show.remark(&format!(
                "{} has ended before the update: its command was short",
                container.name
            ));
            true
        }
        _ => {
            show.remark("which file a process runs cannot be seen on this system");
            !cfg!(target_os = "linux")
        }
    }
}

/// Three attacks; true when each was refused and nothing changed.
fn refusals(
    repository: &Repository,
    server: &ReleaseServer,
    node: &Node,
    first_tree: &Path,
    folder: &Path,
    show: &Show,
) -> bool {
    let mut right = true;
    let mut refuse = |what: &str| {
        let output = node.command(&["update"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let unmoved = node.logger_version().as_deref() == Some(NEXT_VERSION);
        if output.status.success() || !unmoved {
            show.step(&format!("{what}: NOT REFUSED"));
            show.remark(&String::from_utf8_lossy(&output.stdout));
            right = false;
        } else {
            show.step(&format!("{what}: refused, {NEXT_VERSION} stays"));
            show.remark(stderr.trim_end());
        }
    };

    let spoiled = renumbered(&programs::logger_next(), NEXT_VERSION, SPOILED_VERSION, folder);
    let spoiled = repository.pack(&spoiled, &programs::target(), &[]);
    repository.publish_packed(&spoiled, &[]);
    server.set_fault(&format!("logger-{SPOILED_VERSION}"), Fault::FlippedByte);
    refuse(&format!("release {SPOILED_VERSION} with one flipped byte"));
    server.clear_faults();

    let stranger = Repository::create(&folder.join("stranger"));
    stranger.publish_packed(&spoiled, &[]);
    server.switch(&stranger.tree());
    refuse("a release signed by a stranger");

    server.switch(first_tree);
    refuse(&format!("the repository as it was at release {VERSION}"));
    server.switch(&repository.tree());
    right
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or("")
}

/// What to try while agent and server stay.
fn invitation(node: &Node, server: &ReleaseServer) -> String {
    let installed = version_of(&node.logger()).unwrap_or_else(|| "none".to_owned());
    let mistakes =
        r#"{"config":{"syslog-address":"gopher://h","syslog-facility":"LOCAL0","no-such":"1"}}"#;
    let post = "curl -si -H 'content-type: application/json' -d";
    format!(
        "\nagent (logger {installed}) and release server stay until Ctrl-C. Try:\n  \
         curl -s {}\n  curl -si {}\n  curl -s {}\n  {post} '{mistakes}' {}\n  curl -s {}\n  curl -s {}\n  \
         {} status --config {}\n",
        node.url("/ping"),
        node.url("/drivers"),
        node.url("/drivers/syslog"),
        node.url("/drivers/syslog/validate"),
        node.url("/status"),
        server.url() + "/metadata/timestamp.json",
        programs::agent().display(),
        node.config_file().display(),
    )
}
