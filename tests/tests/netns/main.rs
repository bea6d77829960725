//! Stories on real networks: relays behind NAT, partitions, latency and loss. They need what the kernel gives to root
//! only; where it does not, each says loudly that it was skipped.
#![cfg(target_os = "linux")]

mod homes;
mod weather;
