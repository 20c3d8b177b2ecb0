//! The benchmark measures what it says; how fast this machine is, is no test's business.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::error::Error;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_short_run_prints_one_object_with_every_figure() {
    complete(&short_run(&[]).unwrap());
}

#[test]
fn hashes_are_signed_and_measured_through_the_csc_interface_as_well() {
    complete(&short_run(&["--csc"]).unwrap());
}

fn short_run(flags: &[&str]) -> Result<Value, Box<dyn Error>> {
    let run = Command::new(env!("CARGO_BIN_EXE_azukari"))
        .args(["bench", "sign", "--seconds", "1", "--keys", "4", "--json"])
        .args(flags)
        .output()?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    Ok(serde_json::from_slice(&run.stdout)?)
}

fn complete(figures: &Value) {
    for name in [
        "raw_per_s",
        "end_to_end_per_s",
        "ratio",
        "cpu_ratio",
        "p50_ms",
        "p99_ms",
        "half_load_p99_ms",
        "seconds",
        "raw_cpu_us",
        "platform_cpu_us",
        "client_cpu_us",
    ] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name} in {figures}");
    }
    assert_eq!(figures["keys"], 4);
    assert_eq!(figures["in_flight"], 64);
    assert!(figures["cores"].as_u64() >= Some(1));
    assert!(figures["signatures"].as_u64() > Some(0));
}

#[test]
fn a_short_morning_prints_one_object_with_every_figure() {
    for means in ["phone", "hpki", "jpki"] {
        a_short_morning(means);
    }
}

fn a_short_morning(means: &str) {
    let run = Command::new(env!("CARGO_BIN_EXE_azukari"))
        .args(["bench", "authenticate", "--seconds", "1", "--keys", "4", "--in-flight", "4"])
        .args(["--json", "--means", means])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    for name in [
        "raw_per_s",
        "end_to_end_per_s",
        "national_mornings",
        "p50_ms",
        "p99_ms",
        "approve_p50_ms",
        "approve_p99_ms",
        "seconds",
        "raw_cpu_us",
        "platform_cpu_us",
        "client_cpu_us",
    ] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name} in {figures}");
    }
    assert_eq!((&figures["keys"], &figures["in_flight"]), (&4.into(), &4.into()));
    assert!(figures["authentications"].as_u64().unwrap() > 0);
    assert_eq!(figures["means"], means);
}
