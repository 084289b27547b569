//! Placeholder: see DESIGN.
