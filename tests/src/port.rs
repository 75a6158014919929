// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Ports of 127.0.0.1 for servers that let go of theirs and take it again.
//!
//! Meanwhile nobody else may have it. So they are below those that kernels give to whoever asks for any (on Linux and
//! illumos from 32768 on), and in blocks, each of which belongs to one process as long as that runs.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 20;
const BLOCK_PORTS: u16 = 500;

/// The ports of this process.
#[derive(Debug)]
struct Block {
    first: u16,
    used: AtomicU16,
    /// Listens on the first: whoever has that has the block.
    _claim: TcpListener,
}

impl Block {
    /// A block that is nobody's, and was not the last process's: what that has left behind may still look for its servers.
    fn claim() -> Option<Block> {
        let process = process::id();
        let mut blocks = (0..BLOCKS).map(|at| (process + u32::from(at)) % u32::from(BLOCKS));
        blocks.find_map(|block| {
            let first = FIRST + u16::try_from(block).expect("few blocks") * BLOCK_PORTS;
            let claim = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
            Some(Block { first, used: AtomicU16::new(1), _claim: claim })
        })
    }

    fn next(&self) -> u16 {
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        assert!(used < BLOCK_PORTS, "all {BLOCK_PORTS} ports from {} on were used", self.first);
        self.first + used
    }
}

/// A port that this process has not had yet, and that no other gets.
///
/// # Panics
/// When all are gone.
pub(crate) fn free_port() -> u16 {
    static BLOCK: LazyLock<Option<Block>> = LazyLock::new(Block::claim);
    let block = BLOCK.as_ref().expect("a block of ports is nobody's");
    loop {
        let at = (Ipv4Addr::LOCALHOST, block.next());
        // Programs that are no tests of ours know nothing of blocks. This does not bind it to see whether it is free: a
        // child that another thread forks just then would keep it bound.
        if TcpStream::connect(at).is_err() {
            return at.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mine = Block::claim().unwrap();
        let others = Block::claim().unwrap();
        let ports =
            [&mine, &others].map(|block| BTreeSet::from_iter((0..100).map(|_| block.next())));
        assert_eq!(ports[0].union(&ports[1]).count(), 200);
    }
}
