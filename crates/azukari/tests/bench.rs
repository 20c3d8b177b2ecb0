//! The benchmark measures what it says; how fast this machine is, is no test's business.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::error::Error;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_short_run_prints_one_object_with_every_figure() {
    let figures = short_run(&[]).unwrap();
    complete(&figures);
    positive(&figures, &["door_per_s", "door_ratio", "door_cpu_us", "door_cpu_ratio"]);
    assert_eq!(figures.get("device_ratio"), None, "the vault is no device to be measured alone");
}

#[test]
fn hashes_are_signed_and_measured_through_the_csc_interface_as_well() {
    let figures = short_run(&["--csc"]).unwrap();
    complete(&figures);
    assert_eq!(figures.get("door_per_s"), None, "the door takes prescriptions");
}

#[test]
fn a_token_is_measured_alone_and_under_the_platform() {
    let run = bench(&["sign", "--device", "softhsm", "--keys", "2", "--seconds", "1"]).unwrap();
    positive(&run, &["device_loaded_per_s", "device_unwrapped_per_s", "device_ratio"]);
    positive(&run, &["raw_per_s", "end_to_end_per_s", "ratio"]);
    assert_eq!(run["keys"], 2);
}

#[test]
fn a_small_and_a_filled_store_are_measured_with_every_figure() {
    let flags = ["custody", "--keys", "1000", "--active", "4", "--seconds", "1"];
    let figures = bench(&flags).unwrap();
    positive(
        &figures,
        &[
            "raw_per_s",
            "small_per_s",
            "large_per_s",
            "ratio",
            "cold_per_s",
            "start_s",
            "peak_rss_mb",
        ],
    );
    assert_eq!((&figures["keys"], &figures["active"]), (&1000.into(), &4.into()));
    assert_eq!((&figures["in_flight"], &figures["seconds"]), (&64.into(), &1.into()));
    assert_eq!(figures.as_object().map(serde_json::Map::len), Some(11));
}

fn short_run(flags: &[&str]) -> Result<Value, Box<dyn Error>> {
    bench(&[&["sign", "--seconds", "1", "--keys", "4"], flags].concat())
}

fn bench(flags: &[&str]) -> Result<Value, Box<dyn Error>> {
    let run = Command::new(env!("CARGO_BIN_EXE_azukari"))
        .arg("bench")
        .args(flags)
        .arg("--json")
        .output()?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    Ok(serde_json::from_slice(&run.stdout)?)
}

fn positive(figures: &Value, names: &[&str]) {
    for name in names {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name} in {figures}");
    }
}

fn complete(figures: &Value) {
    let names = [
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
    ];
    positive(figures, &names);
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
