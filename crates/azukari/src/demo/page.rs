//! The page.
use super::{home::Home, timeline::Timeline, town::Town};
use crate::runtime::Stop;
pub(crate) async fn keep(
    _t: &mut Town,
    _h: &Home,
    _l: tokio::net::TcpListener,
    _i: Option<Vec<u8>>,
    _tl: Timeline,
    _s: tokio::sync::watch::Receiver<bool>,
) -> Result<(), Stop> {
    Ok(())
}
