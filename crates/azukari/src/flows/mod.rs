//! Flows across rooms, one file each: sequence only, no rules. A room decides; the flow carries
//! what it gave to the next room. Where a step must not be lost, the deciding room has committed a
//! message with its change, and `deliver` repeats it until it arrived.

pub(crate) mod approve_documents;
pub(crate) mod at_home;
pub(crate) mod by_card;
pub(crate) mod card_look;
pub(crate) mod card_status;
pub(crate) mod certify;
pub(crate) mod csc;
pub(crate) mod csc_told;
pub(crate) mod deliver;
pub(crate) mod desk;
pub(crate) mod end_session;
pub(crate) mod holder;
pub(crate) mod link_card;
pub(crate) mod link_phone;
pub(crate) mod login;
pub(crate) mod login_card;
pub(crate) mod open_session;
pub(crate) mod revoke;
pub(crate) mod sign;
pub(crate) mod stop_key;
#[cfg(test)]
mod stories;
