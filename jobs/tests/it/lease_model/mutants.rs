//! Drivers and databases that do one thing wrong, and that it is found: by the checker of the laws, or by the comparison
//! with the model. Nothing in the queue itself is switched off.
