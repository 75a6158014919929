// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The drivers: the one closed list. A driver is options, an encoder and the
//! transport its address names ([`shape`]).

mod fluentd;
pub(crate) mod gelf;
mod json_file;
mod syslog;

mod error;
mod reading;
mod session;
mod settings;
mod shape;
mod sink;

use std::collections::BTreeMap;

use dockerlogger_manifest::{DriverSpec, Normalized, catalog, validate};

pub(crate) use error::ConfigError;
pub(crate) use gelf::{ChunkSize, push_chunk};
use reading::{is_true, parsed, rendered};
pub(crate) use session::{Session, SessionError, Silent};
pub(crate) use settings::{Cut, Mode, OnFailure, Settings};
pub(crate) use shape::{Configure, Encode, PIECE_LIMIT, TRITON_PIECE_LIMIT};
pub(crate) use sink::{
    DatagramPeer, Division, HostPort, LogFiles, Sink, StreamPeer, TlsIdentity, TlsSettings, Trust,
};

#[cfg(any(test, fuzzing))]
use crate::fuzzing::Property;
use crate::launch::Launch;
use crate::local_time::LocalTime;
use crate::record::Record;

closed_list! {
    "fluentd" => Fluentd in fluentd,
    "gelf" => Gelf in gelf,
    "json-file" => JsonFile in json_file,
    "syslog" => Syslog in syslog,
}

/// Makes of one line a driver what stands for any of them, and hands on to the one
/// that it is: [`Configure`] and [`Encode`] without a call through a pointer.
macro_rules! closed_list {
    ($($name:literal => $Driver:ident in $module:ident,)+) => {
        /// A driver with its options.
        #[derive(Debug, Clone)]
        pub(crate) enum Driver {
            $($Driver($module::Options),)+
        }

        /// Turns records into frames.
        #[derive(Debug)]
        pub(crate) enum Encoder {
            $($Driver($module::Encoder),)+
        }

        impl Driver {
            fn parse(
                name: &str,
                options: &Normalized,
                launch: &Launch,
                host: &[u8],
            ) -> Result<Self, ConfigError> {
                match name {
                    $($name => $module::Options::parse(options, launch, host).map(Self::$Driver),)+
                    _ => Err(ConfigError::Driver { name: name.to_owned() }),
                }
            }

            pub(crate) fn sink(&self) -> Sink {
                match self {
                    $(Self::$Driver(options) => options.sink(),)+
                }
            }

            pub(crate) fn encoder(&self, identity: &Identity, local_time: LocalTime) -> Encoder {
                match self {
                    $(Self::$Driver(options) => {
                        Encoder::$Driver(options.encoder(identity, local_time))
                    })+
                }
            }

            pub(crate) fn piece_limit(&self) -> usize {
                match self {
                    $(Self::$Driver(options) => options.piece_limit(),)+
                }
            }
        }

        impl Encode for Encoder {
            fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
                match self {
                    $(Self::$Driver(encoder) => encoder.encode(record, out),)+
                }
            }

            fn packs(&self) -> bool {
                match self {
                    $(Self::$Driver(encoder) => encoder.packs(),)+
                }
            }

            fn end_pack(&mut self, records: u64, out: &mut Vec<u8>) {
                match self {
                    $(Self::$Driver(encoder) => encoder.end_pack(records, out),)+
                }
            }
        }

        /// What holds for any bytes, of every driver.
        #[cfg(any(test, fuzzing))]
        pub(crate) fn properties() -> impl Iterator<Item = Property> {
            [$($module::properties::ALL,)+].concat().into_iter()
        }
    };
}
use closed_list;

/// Who we are, for formats that say it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Node name of the zone.
    pub(crate) host: Vec<u8>,
    /// The process that dockerinit started.
    pub(crate) pid: u32,
}

/// The names of the drivers that run in a zone.
pub(crate) fn zone_drivers() -> Vec<String> {
    catalog::drivers()
        .into_iter()
        .filter(|driver| driver.runs.in_zone())
        .map(|driver| driver.name)
        .collect()
}

/// Checks options against the declaration of a driver that runs in a zone.
///
/// # Errors
/// Every problem at once.
pub(crate) fn normalize(
    name: &str,
    options: &BTreeMap<String, String>,
) -> Result<Normalized, ConfigError> {
    let spec = zone_driver(name)?;
    validate(&spec, options).map_err(|problems| ConfigError::Options { problems })
}

fn zone_driver(name: &str) -> Result<DriverSpec, ConfigError> {
    catalog::driver(name)
        .filter(|driver| driver.runs.in_zone())
        .ok_or_else(|| ConfigError::Driver { name: name.to_owned() })
}
