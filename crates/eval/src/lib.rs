//! Measures of an explanation: pixel flipping.
