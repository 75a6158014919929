// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Servers on loopback that record what arrives, and that can misbehave.

mod fluent;
mod tcp;
mod tls;
mod udp;

pub use fluent::Conduct;
pub use fluent::FluentReceiver;
pub use fluent::confirmation;
pub use tcp::Manners;
pub use tcp::TcpReceiver;
pub(crate) use tcp::reserve;
pub use tls::TlsReceiver;
pub use udp::UdpReceiver;

/// The part of a message after the header: what the container wrote.
///
/// Knows the layouts of the syslog driver: with RFC 5424 the text follows ` - `, in the others `]: `.
pub fn text_of(message: &str) -> Option<&str> {
    let (_, after_priority) = message.split_once('>')?;
    let end_of_header = if after_priority.starts_with("1 ") { " - " } else { "]: " };
    after_priority.split_once(end_of_header).map(|(_, text)| text)
}

/// The severity digit of a message: 6 for standard output, 3 for standard error.
pub fn severity_of(message: &str) -> Option<u32> {
    let (priority, _) = message.strip_prefix('<')?.split_once('>')?;
    Some(priority.parse::<u32>().ok()? % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_every_layout_is_found() {
        for (message, text) in [
            ("<30>Jan  2 03:04:05 deadbeefcafe[12]: hello: [x]: y", "hello: [x]: y"),
            ("<30>Jan  2 03:04:05 host deadbeefcafe[12]: ", ""),
            ("<27>2026-01-02T03:04:05Z host logger/tag[12]: hello", "hello"),
            ("<30>1 2026-01-02T03:04:05Z host tag 12 tag - hello - world", "hello - world"),
        ] {
            assert_eq!(text_of(message), Some(text), "{message}");
        }
        assert_eq!(severity_of("<30>x"), Some(6));
        assert_eq!(severity_of("<27>x"), Some(3));
        assert_eq!(text_of("no header"), None);
    }
}
