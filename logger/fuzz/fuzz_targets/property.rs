// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The property of `dockerlogger::fuzzing` that the variable `PROPERTY` names.

#![no_main]

use std::sync::LazyLock;

use dockerlogger::fuzzing::{Property, properties};

static PROPERTY: LazyLock<Property> = LazyLock::new(|| {
    let wanted = std::env::var("PROPERTY").unwrap_or_default();
    properties().find(|property| property.name == wanted).unwrap_or_else(|| {
        let names: Vec<_> = properties().map(|property| property.name).collect();
        panic!("PROPERTY={wanted}: expected one of {}", names.join(", "))
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (PROPERTY.holds)(bytes));
