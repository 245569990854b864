//! `vtoc`: operates the fleet from a terminal and starts everything on one machine. It stands on the same doors as anybody:
//! processes, HTTP, and the functions of `jobs`; what a job does is not decided here.

pub mod cluster;
pub mod commands;
pub mod data_folder;
mod demo;
mod ephemeral;
mod fleet;
mod front_door;
mod installation;
mod log_file;
mod private_file;
mod process;
mod progress;
mod secrets;
mod stop_request;
