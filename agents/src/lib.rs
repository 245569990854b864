//! What the work knows how to do: playbooks, actions, telemetry connectors, chat, the outbound client.
//!
//! Values come in; values or one outbound call come out. There is no database here, no queue, no HTTP serving and
//! no environment variable: callers pass the time, the settings and what they read from storage.

pub mod actions;
pub mod chat;
pub mod commands;
pub mod connectors;
pub mod durations;
pub mod event;
pub mod outbound;
pub mod playbooks;

mod geodesy;
mod placed;
mod role;
mod templates;

pub use role::Role;
