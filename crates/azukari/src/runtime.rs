//! How a long-running role starts and ends: one runtime, a clean stop on Ctrl-C or SIGTERM, and a
//! sentence instead of a stack when the start is refused.

use std::future::Future;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::sync::watch;

/// Anything that stops a role before or while it runs; its text is meant for a person.
pub(crate) type Stop = Box<dyn std::error::Error + Send + Sync>;

/// Runs a role to its end, on all cores.
pub(crate) fn run(role: impl Future<Output = Result<(), Stop>>) -> ExitCode {
    run_on(&mut Builder::new_multi_thread(), async { role.await.map(|()| ExitCode::SUCCESS) })
}

/// The same for a role whose outcome is told by its exit code.
pub(crate) fn run_coded(role: impl Future<Output = Result<ExitCode, Stop>>) -> ExitCode {
    run_on(&mut Builder::new_multi_thread(), role)
}

/// Runs a role to its end on threads of the caller's choice.
pub(crate) fn run_on(
    threads: &mut Builder,
    role: impl Future<Output = Result<ExitCode, Stop>>,
) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            // cryptoki calls each mechanism of a device that it does not know an error.
            tracing_subscriber::EnvFilter::try_from_env("AZUKARI_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,cryptoki=off")),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("起動できません: {error} (cannot start)");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(role) {
        Ok(code) => code,
        Err(stop) => {
            eprintln!("{stop}");
            ExitCode::FAILURE
        }
    }
}

/// A flag that turns true on Ctrl-C or SIGTERM. The sender is returned too: dropping it, or sending
/// true, stops as well.
pub(crate) fn until_interrupted() -> (watch::Sender<bool>, watch::Receiver<bool>) {
    let (sender, receiver) = watch::channel(false);
    let from_signal = sender.clone();
    tokio::spawn(async move {
        let terminate = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminate => {}
            () = from_signal.closed() => {}
        }
        let _ = from_signal.send(true);
    });
    (sender, receiver)
}

/// Ends a child role as Ctrl-C would, and waits for it; a role that will not end is killed.
pub(crate) async fn terminate(child: &mut tokio::process::Child) {
    if let Some(id) = child.id() {
        // The standard library can only kill; `kill` asks.
        let asked = tokio::process::Command::new("kill").arg(id.to_string()).status().await;
        let wait = tokio::time::timeout(std::time::Duration::from_secs(10), child.wait());
        if asked.is_ok() && wait.await.is_ok() {
            return;
        }
    }
    let _ = child.kill().await;
}
