// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! A zone's configuration, `/etc/zones/NAME.xml`, as far as it is of interest: the
//! platform keeps a VM's `owner_uuid` in it as an attribute of the zone.

/// The value of the attribute `owner-uuid`.
pub(super) fn owner(config: &str) -> Option<&str> {
    let elements = config.split("<attr ").skip(1).filter_map(|rest| rest.split('>').next());
    let mut owners = elements.filter(|one| property(one, "name") == Some("owner-uuid"));
    property(owners.next()?, "value").filter(|owner| !owner.is_empty())
}

fn property<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split_ascii_whitespace().find_map(|word| {
        let value = word.strip_prefix(name)?.strip_prefix("=\"")?;
        value.split_once('"').map(|(value, _)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_found_among_the_attributes() {
        let config = r#"<?xml version="1.0" encoding="UTF-8"?>
<zone name="4f1c0e8f" zonepath="/zones/4f1c0e8f" autoboot="false" brand="lx">
  <attr name="docker" type="string" value="true"/>
  <attr name="owner-uuid-of" type="string" value="no"/>
  <attr name="owner-uuid" type="string" value="930896af-bf8c-48d4-885c-6573a94b1853"/>
  <dataset name="owner-uuid" value="no"/>
</zone>"#;
        assert_eq!(owner(config), Some("930896af-bf8c-48d4-885c-6573a94b1853"));
        for without in [
            "",
            "<attr ",
            r#"<zone name="owner-uuid" value="x"/>"#,
            r#"<attr name="owner-uuid" value=""/>"#,
            r#"<attr name="owner-uuid" type="string"/>"#,
        ] {
            assert_eq!(owner(without), None, "{without}");
        }
    }
}
