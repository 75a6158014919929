// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Tags: literal text with `{{.Field}}` in it, rendered once.

use crate::launch::Launch;

/// A tag that cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagError {
    /// A `{{` without its `}}`.
    #[error("log option \"tag\": \"{0}\": \"{{{{\" without \"}}}}\"")]
    Unclosed(String),
    /// Something other than a known field.
    #[error("log option \"tag\": \"{{{{{0}}}}}\": expected one of {fields}", fields = accepted())]
    Unknown(String),
}

/// What may stand between the braces.
const FIELDS: [(&str, Field); 14] = [
    (".ID", |launch, _| launch.short_id().to_owned()),
    (".FullID", |launch, _| launch.container_id.clone()),
    (".Name", |launch, _| launch.short_name().to_owned()),
    (".ImageID", |launch, _| launch.short_image_id().to_owned()),
    (".ImageFullID", |launch, _| launch.image_id.clone()),
    (".ImageName", |launch, _| launch.image_name.clone()),
    (".Command", |launch, _| launch.command_line()),
    (".Hostname", |_, host| String::from_utf8_lossy(host).into_owned()),
    (".DaemonName", |_, _| "docker".to_owned()),
    (".ContainerID", |launch, _| launch.container_id.clone()),
    (".ContainerName", |launch, _| launch.container_name.clone()),
    (".ContainerEntrypoint", |launch, _| launch.program.clone()),
    (".ContainerImageID", |launch, _| launch.image_id.clone()),
    (".ContainerImageName", |launch, _| launch.image_name.clone()),
];

type Field = fn(&Launch, &[u8]) -> String;

/// The text that `template` stands for. White space around a field is ignored;
/// nothing else is changed or escaped.
///
/// # Errors
/// When a brace is not closed, or what it encloses is not a field.
pub(crate) fn render(template: &str, launch: &Launch, host: &[u8]) -> Result<String, TagError> {
    let mut tag = String::new();
    let mut rest = template;
    while let Some((text, action)) = rest.split_once("{{") {
        tag.push_str(text);
        let (field, after) =
            action.split_once("}}").ok_or_else(|| TagError::Unclosed(template.to_owned()))?;
        let name = field.trim_matches([' ', '\t', '\r', '\n']);
        let (_, value) = FIELDS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| TagError::Unknown(field.to_owned()))?;
        tag.push_str(&value(launch, host));
        rest = after;
    }
    tag.push_str(rest);
    Ok(tag)
}

fn accepted() -> String {
    FIELDS.map(|(name, _)| format!("{{{{{name}}}}}")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(template: &str) -> Result<String, String> {
        let launch = Launch {
            container_id: "deadbeefcafe0123".to_owned(),
            container_name: "/web-1".to_owned(),
            image_id: "sha256:0123456789abcdef".to_owned(),
            image_name: "busybox".to_owned(),
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), "a  b".to_owned()],
            ..Launch::default()
        };
        render(template, &launch, b"cn01").map_err(|error| error.to_string())
    }

    #[test]
    fn fields_render() {
        for (template, text) in [
            ("", ""),
            ("plain } text", "plain } text"),
            ("{{.ID}}", "deadbeefcafe"),
            ("{{ .ID }}", "deadbeefcafe"),
            ("{{.ImageName}}/{{.Name}}/{{.FullID}}", "busybox/web-1/deadbeefcafe0123"),
            ("{{.ImageID}} {{.ImageFullID}}", "0123456789ab sha256:0123456789abcdef"),
            ("{{.Command}}", "/bin/sh -c a  b"),
            ("{{.Hostname}}.{{.DaemonName}}", "cn01.docker"),
            ("{{.ContainerName}}}", "/web-1}"),
        ] {
            assert_eq!(tag(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn refusals_say_what_is_accepted() {
        assert_eq!(
            tag("x{{.Name").unwrap_err(),
            "log option \"tag\": \"x{{.Name\": \"{{\" without \"}}\""
        );
        for bad in ["{{.NoSuch}}", "{{.ID | upper}}", "{{}}", "{{- .ID}}"] {
            let message = tag(bad).unwrap_err();
            assert!(
                message.starts_with(&format!("log option \"tag\": \"{bad}\": expected one of "))
            );
            assert!(message.contains("{{.ID}}, {{.FullID}}, "), "{message}");
        }
    }
}
