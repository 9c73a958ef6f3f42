//! The machine that a comparison ran on.

use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// What identifies it, as far as times depend on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// Sets of vector instructions that the processor has.
    pub isa: Vec<String>,
    pub memory_bytes: u64,
    pub system: String,
}

impl Machine {
    pub fn this() -> Self {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(what);
        Self {
            cpu: system.cpus().first().map_or_else(|| "unknown".to_owned(), |cpu| cpu.brand().trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            isa: isa(),
            memory_bytes: system.total_memory(),
            system: [System::name(), System::kernel_version()].into_iter().flatten().collect::<Vec<_>>().join(" "),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn isa() -> Vec<String> {
    let found = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
    ];
    found.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn isa() -> Vec<String> {
    vec![std::env::consts::ARCH.to_owned()]
}
