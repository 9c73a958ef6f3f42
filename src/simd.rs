//! The widest instructions of this processor for loops that the compiler vectorises.

use std::sync::LazyLock;

use pulp::Arch;

/// Which they are, found out once: asking anew for each of many short loops costs as much as some of them.
pub(crate) fn arch() -> Arch {
    static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);
    *ARCH
}
