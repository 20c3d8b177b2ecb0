//! The benchmark measures what it says; how fast this machine is, is no test's business.

use std::process::Command;

#[test]
fn a_short_run_prints_one_object_with_every_figure() {
    let run = Command::new(env!("CARGO_BIN_EXE_azukari"))
        .args(["bench", "sign", "--seconds", "1", "--keys", "4", "--json"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    for name in [
        "raw_per_s",
        "end_to_end_per_s",
        "ratio",
        "cpu_ratio",
        "p50_ms",
        "p99_ms",
        "seconds",
        "raw_cpu_us",
        "platform_cpu_us",
        "client_cpu_us",
    ] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name} in {figures}");
    }
    assert_eq!(figures["keys"], 4);
    assert_eq!(figures["in_flight"], 64);
    assert!(figures["cores"].as_u64().unwrap() >= 1);
    assert!(figures["signatures"].as_u64().unwrap() > 0);
}
