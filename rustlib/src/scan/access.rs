//! Why the kernel lets nobody look into a process, and what would help.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// What decides about access, as far as it can be seen from outside.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub pid: u32,
    /// Effective uid of this process; real uid of the target.
    pub own_uid: u32,
    pub target_uid: Option<u32>,
    /// Owner of the files in /proc/PID, which is root where the target is not dumpable.
    pub proc_owner: Option<u32>,
    /// Pid of whoever traces the target; 0 for nobody.
    pub tracer: u32,
    /// Level of Yama, where the kernel has it.
    pub yama: Option<u32>,
    pub has_ptrace_capability: bool,
    pub kernel_thread: bool,
}

impl Facts {
    pub fn of(pid: u32) -> Facts {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let own = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let field = |text: &str, name: &str, radix| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(value.split_whitespace().next()?, radix).ok()
        };
        Facts {
            pid,
            own_uid: rustix::process::geteuid().as_raw(),
            target_uid: field(&status, "Uid:", 10).map(|uid| uid as u32),
            proc_owner: fs::metadata(format!("/proc/{pid}/status")).ok().map(|data| data.uid()),
            tracer: field(&status, "TracerPid:", 10).unwrap_or(0) as u32,
            yama: fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
                .ok()
                .and_then(|level| level.trim().parse().ok()),
            // CAP_SYS_PTRACE is capability 19.
            has_ptrace_capability: field(&own, "CapEff:", 16).unwrap_or(0) >> 19 & 1 != 0,
            kernel_thread: field(&status, "Kthread:", 10) == Some(1),
        }
    }

    /// One sentence: what it was, and what to do.
    pub fn why(&self, doing: &str) -> String {
        let Facts { pid, own_uid, .. } = self;
        let reason = if self.kernel_thread {
            "it is a kernel thread, which has no memory of its own".into()
        } else if let Some(uid) = self.target_uid.filter(|uid| uid != own_uid)
            && !self.has_ptrace_capability
        {
            format!(
                "it belongs to uid {uid} and this process runs as uid {own_uid}: run as that user, \
                 or as root, or with CAP_SYS_PTRACE"
            )
        } else if !self.has_ptrace_capability
            && self.proc_owner == Some(0)
            && self.target_uid.is_some_and(|uid| uid != 0)
        {
            "it is not dumpable (it changed its ids, or asked for it by prctl): run as root, or \
             with CAP_SYS_PTRACE, or let it call prctl(PR_SET_DUMPABLE, 1)"
                .into()
        } else if let Some(level @ 1..) = self.yama
            && !(self.has_ptrace_capability && level < 3)
        {
            let help = match level {
                1 => {
                    "only its ancestors may look into it: start it from this process, let it \
                     call prctl(PR_SET_PTRACER), run as root, or write 0 to it"
                }
                2 => "only with CAP_SYS_PTRACE: run as root, or write 0 or 1 to it",
                _ => "nobody may look into any process until the machine is started anew",
            };
            format!("Yama's level is {level} (/proc/sys/kernel/yama/ptrace_scope), {help}")
        } else if self.tracer != 0 {
            format!("process {} traces it: detach that debugger, or run as root", self.tracer)
        } else if self.has_ptrace_capability {
            "the kernel or a security module forbids it even with CAP_SYS_PTRACE (a container's \
             seccomp profile, SELinux or AppArmor, another user namespace)"
                .into()
        } else {
            "it may not be dumpable, have more capabilities than this process, or be guarded by a \
             security module: run as root, or with CAP_SYS_PTRACE"
                .into()
        };
        format!("process {pid} {doing}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            pid: 77,
            own_uid: 1000,
            target_uid: Some(1000),
            proc_owner: Some(1000),
            ..Facts::default()
        }
    }

    #[test]
    fn each_reason_is_told_from_the_others() {
        let cases = [
            (
                Facts { target_uid: Some(5), ..facts() },
                "belongs to uid 5 and this process runs as uid 1000",
            ),
            (Facts { proc_owner: Some(0), ..facts() }, "not dumpable"),
            (
                Facts { yama: Some(1), ..facts() },
                "Yama's level is 1 (/proc/sys/kernel/yama/ptrace_scope), only its ancestors",
            ),
            (Facts { yama: Some(2), ..facts() }, "Yama's level is 2"),
            (Facts { yama: Some(3), has_ptrace_capability: true, ..facts() }, "Yama's level is 3"),
            (Facts { tracer: 9, ..facts() }, "process 9 traces it"),
            (Facts { yama: Some(0), ..facts() }, "may not be dumpable"),
            (
                Facts { has_ptrace_capability: true, yama: Some(2), ..facts() },
                "even with CAP_SYS_PTRACE",
            ),
            (Facts { kernel_thread: true, ..facts() }, "kernel thread"),
        ];
        for (facts, text) in cases {
            let why = facts.why("cannot be read");
            assert!(why.starts_with("process 77 cannot be read: ") && why.contains(text), "{why}");
        }
    }
}
