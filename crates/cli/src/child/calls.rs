//! Whether a process group has a call under way at the gateway of this machine: by the sockets of its processes.

use rustix::process::Pid;

use crate::allowance::Calls;

/// Whether one of the calls comes from the group. Where the system does not tell whose a socket is, any call counts.
pub(super) fn come_from(calls: &Calls, group: Pid) -> bool {
    let Calls { ports, gateway } = calls;
    !ports.is_empty() && sockets::is_calling(group, ports, *gateway).unwrap_or(true)
}

#[cfg(target_os = "linux")]
mod sockets {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use rustix::process::Pid;

    /// Whether a process of the group holds one of the connections; `None` if the sockets of one cannot be seen.
    pub(super) fn is_calling(group: Pid, ports: &[u16], gateway: u16) -> Option<bool> {
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let process = entry.path();
            if group_of(&process) != Some(group.as_raw_nonzero().get()) {
                continue;
            }
            let owned = sockets_of(&process)?;
            let is_its = |file| {
                let table = fs::read_to_string(process.join(file)).unwrap_or_default();
                table.lines().filter_map(connection).any(|(from, to, socket)| {
                    to == gateway && ports.contains(&from) && owned.contains(socket)
                })
            };
            if is_its("net/tcp") || is_its("net/tcp6") {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The process group of a process: the third field behind its name, which may hold anything.
    fn group_of(process: &Path) -> Option<i32> {
        let status = fs::read_to_string(process.join("stat")).ok()?;
        let (_, fields) = status.rsplit_once(')')?;
        fields.split_whitespace().nth(2)?.parse().ok()
    }

    /// The sockets of a process by number. `None` if they are nobody else's business; none if it is gone.
    fn sockets_of(process: &Path) -> Option<BTreeSet<String>> {
        let files = match fs::read_dir(process.join("fd")) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
            Err(_) => return Some(BTreeSet::new()),
        };
        let links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        let number = |link: std::path::PathBuf| {
            let text = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(text.to_owned())
        };
        Some(links.filter_map(number).collect())
    }

    /// The ports and the socket of a line of the kernel's table.
    pub(super) fn connection(line: &str) -> Option<(u16, u16, &str)> {
        let mut fields = line.split_whitespace();
        let mut port = || u16::from_str_radix(fields.next()?.rsplit_once(':')?.1, 16).ok();
        let _number = port();
        let (from, to) = (port()?, port()?);
        Some((from, to, fields.nth(6)?))
    }
}

#[cfg(not(target_os = "linux"))]
mod sockets {
    use rustix::process::Pid;

    pub(super) fn is_calling(_: Pid, _: &[u16], _: u16) -> Option<bool> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_line_of_the_kernel_s_table_is_read() {
        let line = "   1: 0100007F:8D3C 0100007F:2256 01 00000000:00000000 00:00000000 00000000  1000        0 51234 1 0 20 4 30 10 -1";
        assert_eq!(sockets::connection(line), Some((0x8d3c, 0x2256, "51234")));
        assert_eq!(sockets::connection("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn the_sockets_of_the_own_group_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = listener.local_addr().unwrap().port();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = rustix::process::getpgrp();
        let calls = |ports: &[u16]| Calls { ports: ports.to_vec(), gateway };
        let port = caller.local_addr().unwrap().port();
        assert!(come_from(&calls(&[1, port]), own));
        assert!(!come_from(&calls(&[1]), own), "another program's");
        assert!(!come_from(&calls(&[]), own));
        assert!(!come_from(&calls(&[port]), Pid::INIT), "another group's");
    }
}
