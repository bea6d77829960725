//! Ciphersuites and capabilities.
