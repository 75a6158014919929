// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The scalar forms of option values. Docker's rules, byte for byte, because a
//! value that Docker takes must mean the same here.

mod address;
mod facility;
mod fluentd_address;
mod quantity;
mod server_address;

pub use address::ParseAddressError;
pub use address::{SyslogAddress, SyslogSocket};
pub use facility::Facility;
pub use facility::ParseFacilityError;
pub use fluentd_address::FluentdAddress;
pub use fluentd_address::ParseFluentdAddressError;
pub use quantity::ParseQuantityError;
pub use quantity::parse_bool;
pub use quantity::parse_duration;
pub use quantity::parse_size_binary;
pub use quantity::parse_size_decimal;
pub use server_address::ParseServerAddressError;
pub use server_address::ServerAddress;
pub use server_address::ServerTransport;
