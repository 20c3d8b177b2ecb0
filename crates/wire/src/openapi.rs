//! The description of the platform's interface, made from the same types that serve it.
