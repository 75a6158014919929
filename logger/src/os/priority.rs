// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Running before others: the reader's priority, and the way back for senders.
//!
//! | system | first | where that is refused |
//! |---|---|---|
//! | Linux | `SCHED_FIFO`, its lowest | nice −15 |
//! | illumos | class RT, its lowest (privilege `proc_priocntl`) | the highest user priority of the class it is in (`proc_prioup`) |
//!
//! Whatever is refused, the reader carries on as it is. On illumos no third class
//! is tried: to leave a class takes the same privilege as to enter RT.

/// How this process was scheduled before [`raise`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordinary(system::Saved);

/// Puts the calling process, of one thread, before all that share processors by
/// weight, as far as it is allowed to.
pub(crate) fn raise() -> Ordinary {
    Ordinary(system::raise())
}

impl Ordinary {
    /// Makes a child of a process that was raised an ordinary one.
    pub(crate) fn restore(self) {
        system::restore(self.0);
    }
}

#[cfg(not(target_os = "illumos"))]
mod system {
    /// The nice value.
    pub(super) type Saved = libc::c_int;

    pub(super) fn raise() -> Saved {
        // SAFETY: takes numbers only; 0 is the calling process.
        let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        if !set_real_time() {
            set_nice(NICE);
        }
        nice
    }

    /// A child starts without the scheduling class, and with the nice value.
    pub(super) fn restore(nice: Saved) {
        set_nice(nice);
    }

    #[cfg(target_os = "linux")]
    fn set_real_time() -> bool {
        let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        let lowest = libc::sched_param { sched_priority: 1 };
        // SAFETY: reads a structure that is ours; 0 is the calling process.
        unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    const fn set_real_time() -> bool {
        false
    }

    fn set_nice(nice: libc::c_int) {
        // SAFETY: takes numbers only; 0 is the calling process.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    }

    /// Before everything that is not itself in a hurry.
    const NICE: libc::c_int = -15;
}

/// `priocntl(2)`, which the libc crate does not know.
#[cfg(target_os = "illumos")]
mod system {
    use libc::{c_char, c_int, c_long, id_t, idtype_t};

    /// `pcparms_t` of `sys/priocntl.h`. The parameters are those of the class:
    /// `rtparms_t`, `tsparms_t`, `iaparms_t`, `fssparms_t`, `fxparms_t`, of which
    /// all but the first begin with two priorities of 16 bits, one of them the
    /// limit of the other.
    #[derive(Debug, Clone, Copy)]
    #[repr(C)]
    pub(super) struct Parms {
        class: id_t,
        of_class: [i16; 16],
    }

    /// `pcinfo_t` of `sys/priocntl.h`. What it says of a class begins with the
    /// highest user priority, in 16 bits.
    #[repr(C)]
    struct Info {
        class: id_t,
        name: [c_char; 16],
        of_class: [i16; 16],
    }

    const _: () = assert!(size_of::<Parms>() == 36 && size_of::<Info>() == 52);

    unsafe extern "C" {
        fn priocntl(of: idtype_t, id: id_t, command: c_int, ...) -> c_long;
    }

    /// `P_MYID` of `sys/procset.h`: of what is asked for, the caller's own.
    const P_MYID: id_t = -1;
    const PC_GETCID: c_int = 0;
    const PC_GETCLINFO: c_int = 1;
    const PC_SETPARMS: c_int = 2;
    const PC_GETPARMS: c_int = 3;
    /// In the place of a class: the one it is in.
    const PC_CLNULL: id_t = -1;
    /// `RT_TQDEF` of `sys/rtpriocntl.h`: the class' own time slice.
    const RT_TQDEF: [i16; 2] = [-3, -1];

    /// `None`: the system did not say.
    pub(super) type Saved = Option<Parms>;

    pub(super) fn raise() -> Saved {
        let before = current()?;
        if !set_real_time() {
            set_highest(before);
        }
        Some(before)
    }

    /// A child starts in its parent's class.
    pub(super) fn restore(before: Saved) {
        if let Some(before) = before {
            set(before);
        }
    }

    fn current() -> Option<Parms> {
        let mut parms = Parms { class: PC_CLNULL, of_class: [0; 16] };
        // SAFETY: the kernel fills a pcparms_t, which has this layout.
        let found = unsafe { priocntl(libc::P_LWPID, P_MYID, PC_GETPARMS, &raw mut parms) };
        (found >= 0).then_some(parms)
    }

    fn set(parms: Parms) -> bool {
        // SAFETY: the kernel reads a pcparms_t, which has this layout.
        unsafe { priocntl(libc::P_LWPID, P_MYID, PC_SETPARMS, &raw const parms) >= 0 }
    }

    /// Priority 0, which is above every other class.
    fn set_real_time() -> bool {
        let mut info = Info { class: 0, name: [0; 16], of_class: [0; 16] };
        for (place, byte) in info.name.iter_mut().zip(*b"RT") {
            *place = c_char::from_ne_bytes([byte]);
        }
        // SAFETY: the kernel reads the name in a pcinfo_t, which has this layout
        // and whose name is terminated, and fills in the rest.
        if unsafe { priocntl(libc::P_LWPID, P_MYID, PC_GETCID, &raw mut info) } < 0 {
            return false;
        }
        let mut of_class = [0; 16];
        // rt_pri, two bytes of padding, rt_tqsecs in four bytes, rt_tqnsecs in four.
        of_class[4..6].copy_from_slice(&RT_TQDEF);
        set(Parms { class: info.class, of_class })
    }

    /// The most that the class allows, as priority and as its limit: whichever of
    /// the two comes first, both are the same. What follows them stays.
    fn set_highest(mut parms: Parms) -> bool {
        let mut info = Info { class: parms.class, name: [0; 16], of_class: [0; 16] };
        // SAFETY: the kernel reads the class of a pcinfo_t, which has this
        // layout, and fills in the rest.
        if unsafe { priocntl(libc::P_LWPID, P_MYID, PC_GETCLINFO, &raw mut info) } < 0 {
            return false;
        }
        let name = info.name.map(|byte| byte.to_ne_bytes()[0]);
        if ![b"TS\0\0".as_slice(), b"IA\0\0", b"FSS\0", b"FX\0\0"].contains(&&name[..4]) {
            return false;
        }
        parms.of_class[..2].fill(info.of_class[0]);
        set(parms)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Policy and nice value of the calling thread.
    fn scheduling() -> (i32, i32) {
        // SAFETY: both take numbers only; 0 is the calling thread.
        unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) }
    }

    #[test]
    fn children_of_a_raised_process_are_as_it_was() {
        // On Linux each thread has its own, and passes it on as a process does.
        let raised = std::thread::spawn(|| {
            // SAFETY: takes numbers only; to be less important is never refused.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
            let ordinary = raise();
            let child = std::thread::spawn(move || {
                ordinary.restore();
                scheduling()
            });
            (scheduling(), child.join().unwrap())
        });
        let ((policy, nice), child) = raised.join().unwrap();
        // 5: refused.
        let fifo = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        assert!(policy == fifo || [-15, 5].contains(&nice), "policy {policy}, nice {nice}");
        assert_eq!(child, (libc::SCHED_OTHER, 5));
    }
}
