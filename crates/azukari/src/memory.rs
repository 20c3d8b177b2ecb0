//! What keeps the process's memory to itself: no core dump, and no other process of the same user
//! may look into it (`PR_SET_DUMPABLE` 0). Swap is the operator's: run without it.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// To be called before anything secret is in memory. Whoever cannot do it says so and goes on: a
/// platform that does not start signs nothing.
pub(crate) fn keep_to_itself() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let kept = rustix::process::setrlimit(Resource::Core, none)
        .and_then(|()| rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = kept {
        eprintln!("メモリの保護を設定できません: {error} (core dumps could not be switched off)");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_core_is_dumped_and_nobody_looks_into_the_memory() {
        super::keep_to_itself();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let values: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
        assert_eq!(values, ["0", "0"], "{core}");
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    }
}
