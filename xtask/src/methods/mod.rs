//! The methods of explanation beside each other.

pub mod list;
