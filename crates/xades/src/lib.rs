//! xades
