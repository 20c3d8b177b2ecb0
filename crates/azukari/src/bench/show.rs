//! What a person sees: progress on standard error, one object or one table on standard output.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// The result, in the order in which it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// RSA-2048 signatures per second on all cores, nothing else running.
    pub(super) raw_per_s: f64,
    /// Verified answers per second, client and platform on the same cores.
    pub(super) end_to_end_per_s: f64,
    /// `end_to_end_per_s` ÷ `raw_per_s`
    pub(super) ratio: f64,
    /// Processor time of a raw signature ÷ the platform's for one answer.
    pub(super) cpu_ratio: f64,
    /// Half of the answers came within this time.
    pub(super) p50_ms: f64,
    /// All but one in a hundred.
    pub(super) p99_ms: f64,
    /// The same at half of `end_to_end_per_s`, sent evenly.
    pub(super) half_load_p50_ms: f64,
    /// All but one in a hundred then.
    pub(super) half_load_p99_ms: f64,
    /// Verified answers per second of a door with nothing behind it: HTTP, TLS and the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) door_per_s: Option<f64>,
    /// `door_per_s` ÷ `raw_per_s`: what `ratio` could reach if nothing were decided or recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) door_ratio: Option<f64>,
    /// Processor time of a raw signature ÷ the door's for one answer: the same for `cpu_ratio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) door_cpu_ratio: Option<f64>,
    /// Processor time of the door for one answer, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) door_cpu_us: Option<f64>,
    /// The PKCS#11 device alone, keys loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_loaded_per_s: Option<f64>,
    /// The PKCS#11 device alone, each key unwrapped for one signature and destroyed after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_unwrapped_per_s: Option<f64>,
    /// `end_to_end_per_s` ÷ `device_loaded_per_s`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_ratio: Option<f64>,
    /// Requests under way at any time.
    pub(super) in_flight: usize,
    /// Length of the end-to-end measurement.
    pub(super) seconds: f64,
    /// Distinct keys, in both measurements.
    pub(super) keys: usize,
    /// Processors.
    pub(super) cores: usize,
    /// Answers counted.
    pub(super) signatures: u64,
    /// Processor time of a raw signature, in microseconds.
    pub(super) raw_cpu_us: f64,
    /// Processor time of the platform for one answer.
    pub(super) platform_cpu_us: f64,
    /// Processor time of the client for one answer, its verification included.
    pub(super) client_cpu_us: f64,
}

/// What this house wants to reach.
const RATIO: f64 = 0.65;
const CPU_RATIO: f64 = 0.80;
const HALF_LOAD_MS: f64 = 20.0;

/// One JSON object, its figures to three places.
pub(super) fn json(figures: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(figures)?;
    for (_, figure) in value.as_object_mut().into_iter().flatten() {
        if let Some(number) = figure.as_f64().filter(|_| figure.is_f64()) {
            *figure = ((number * 1000.0).round() / 1000.0).into();
        }
    }
    Ok(value.to_string())
}

impl Figures {
    pub(super) fn table(&self) -> String {
        let mark = |good: bool| if good { "✓" } else { "△" };
        let mut lines = vec![
            format!(
                "■ 署名の速さ  RSA-2048 × {} 鍵、{} コア (signing speed)",
                self.keys, self.cores
            ),
            String::new(),
            format!(
                "  署名だけ            {:>9.0} /s   署名 1 件の CPU {:>5.0} µs   (raw RSA)",
                self.raw_per_s, self.raw_cpu_us
            ),
            format!(
                "  端から端まで        {:>9.0} /s   基盤 {:>5.0} µs、利用側 {:>5.0} µs   (end to end)",
                self.end_to_end_per_s, self.platform_cpu_us, self.client_cpu_us
            ),
            String::new(),
            format!(
                "  {} 全体の比          {:>9.2}      目標 {RATIO:.2} 以上   (ratio)",
                mark(self.ratio >= RATIO),
                self.ratio
            ),
            format!(
                "  {} 基盤の CPU の比   {:>9.2}      目標 {CPU_RATIO:.2} 以上   (cpu_ratio)",
                mark(self.cpu_ratio >= CPU_RATIO),
                self.cpu_ratio
            ),
            format!(
                "    応答時間           {:>9.1} ms   99% は {:.1} ms 以内   (p50, p99)",
                self.p50_ms, self.p99_ms
            ),
            format!(
                "  {} 半分の負荷          {:>9.1} ms   99% は {:.1} ms 以内、目標 {HALF_LOAD_MS:.0} ms 未満 (at half load)",
                mark(self.half_load_p99_ms < HALF_LOAD_MS),
                self.half_load_p50_ms,
                self.half_load_p99_ms
            ),
            format!(
                "    同時 {} 件、{:.1} 秒、{} 件をすべて検証 (in flight, seconds, all verified)",
                self.in_flight, self.seconds, self.signatures
            ),
            String::new(),
        ];
        if let (Some(per_s), Some(ratio), Some(cpu_ratio), Some(us)) =
            (self.door_per_s, self.door_ratio, self.door_cpu_ratio, self.door_cpu_us)
        {
            lines.insert(3, format!(
                "  通信と署名だけ      {per_s:>9.0} /s   {us:>5.0} µs。記録なしでも比は {ratio:.2}、CPU は {cpu_ratio:.2} まで (door: HTTP, TLS and the signature, nothing decided or recorded)"
            ));
        }
        if let (Some(loaded), Some(unwrapped), Some(ratio)) =
            (self.device_loaded_per_s, self.device_unwrapped_per_s, self.device_ratio)
        {
            lines.insert(3, format!(
                "  装置だけ            {loaded:>9.0} /s   鍵を毎回復号すると {unwrapped:.0} /s。端から端までは装置の {ratio:.2} 倍 (the device alone: loaded, and unwrapped each time)"
            ));
        }
        lines.extend(self.advice().into_iter().map(|line| format!("  {line}")));
        lines.join("\n")
    }

    fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if cfg!(debug_assertions) {
            advice.push("開発用ビルドです。cargo run --release -- bench sign で測ってください (a debug build says nothing about speed)".into());
        }
        if self.keys < 1000 {
            advice.push("鍵が少ないとキャッシュが有利に働きます。--keys 1000 以上で比べてください (few keys flatter the caches)".into());
        }
        let busy = self.end_to_end_per_s * (self.platform_cpu_us + self.client_cpu_us)
            / (1e6 * self.cores as f64);
        if busy < 0.85 {
            advice.push(format!("CPU の {:.0}% しか使っていません。ディスクの同期を待っているか、ほかの仕事が動いています。--in-flight を増やすと分かります (processors wait: for the disk, or for other programs)", busy * 100.0));
        }
        if self.ratio < RATIO || self.cpu_ratio < CPU_RATIO {
            advice.push(
                "どこに時間がかかるかは docs/benchmarks.md にあります (where the time goes)".into(),
            );
        }
        advice.push(format!(
            "この計算機 1 台で 1 時間におよそ {} 万件に署名できます (signatures per hour: {:.1} million)",
            (self.end_to_end_per_s * 0.36).round(),
            self.end_to_end_per_s * 0.0036
        ));
        advice
    }
}

/// A progress bar on standard error; nothing where that is no terminal.
pub(super) fn bar(length: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {msg}  {wide_bar} {pos}/{len}  残り {eta}");
    let bar = ProgressBar::new(length as u64).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
